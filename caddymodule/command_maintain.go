package caddymodule

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

func backupCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "backup FILE", Short: "Writes a consistent copy of the database to a new file", Args: cobra.ExactArgs(1)}
	cmd.RunE = siteRun(func(cmd *cobra.Command, args []string, s site) error {
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
		if err = errors.Join(err, file.Close()); err != nil {
			return errors.Join(err, os.Remove(path))
		}
		return say(cmd.OutOrStdout(), "%s", path)
	})
	return cmd
}

// copyTo writes a copy of a site's database, durably.
func (s site) copyTo(cmd *cobra.Command, file *os.File) error {
	operator, err := s.reach(cmd.Context(), cmd)
	if err != nil {
		return err
	}
	return errors.Join(operator.Backup(cmd.Context(), file), file.Sync(), operator.Close())
}
