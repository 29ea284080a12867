package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

func backupCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "backup FILE", Short: "Writes a consistent copy of the database to a new file, or to standard output with -", Args: cobra.ExactArgs(1)}
	cmd.RunE = siteRun(func(cmd *cobra.Command, args []string, s site) error {
		if args[0] == "-" {
			return s.copyToOutput(cmd)
		}
		path, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		// Before the database is reached: a command of root's may go on as somebody else then.
		file, err := matrixauth.CreateBackup(path)
		if err != nil {
			return err
		}
		err = s.copyTo(cmd, file)
		if err != nil {
			return errors.Join(err, discard(file))
		}
		if err = file.Close(); err != nil {
			return errors.Join(err, os.Remove(path))
		}
		return say(cmd.OutOrStdout(), "%s", path)
	})
	return cmd
}

// discard removes the file of a backup that could not be finished. A process that has gone on as the owner of
// the database may not do that in root's directory any more, but has the file open.
func discard(file *os.File) error {
	err := os.Remove(file.Name())
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%s is left behind, empty; remove it", file.Name())
		return errors.Join(err, file.Truncate(0), file.Close())
	}
	return errors.Join(err, file.Close())
}

// copyToOutput writes a copy of a site's database to standard output, for a pipe. A terminal would be spoilt by it.
func (s site) copyToOutput(cmd *cobra.Command) error {
	if out, ok := cmd.OutOrStdout().(*os.File); ok && term.IsTerminal(int(out.Fd())) {
		return errors.New("standard output is a terminal; send the backup to a file or a pipe")
	}
	operator, err := s.reach(cmd.Context(), cmd)
	if err != nil {
		return err
	}
	return errors.Join(takeBackup(cmd, operator, cmd.OutOrStdout(), func() error { return nil }), closeOperator(cmd, operator))
}

// copyTo writes a copy of a site's database, durably.
func (s site) copyTo(cmd *cobra.Command, file *os.File) error {
	operator, err := s.reach(cmd.Context(), cmd)
	if err != nil {
		return err
	}
	return errors.Join(takeBackup(cmd, operator, file, file.Sync), closeOperator(cmd, operator))
}

// takeBackup writes a copy, makes it durable, and has the server remember that it is kept: not before, as a disk
// may be full.
func takeBackup(cmd *cobra.Command, o *matrixauth.Operator, w io.Writer, sync func() error) error {
	if err := o.Copy(cmd.Context(), w); err != nil {
		return err
	}
	if err := sync(); err != nil {
		return err
	}
	if _, err := matrixauth.NoteBackup.Do(cmd.Context(), o, struct{}{}); err != nil {
		return say(cmd.ErrOrStderr(), "the copy is whole, and that it was taken could not be noted for the metrics: %v", err)
	}
	return nil
}
