package caddymodule

import (
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"

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

func versionCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Prints the version of the module and of SQLite", Args: cobra.NoArgs}
	cmd.RunE = caddyRun(func(cmd *cobra.Command, _ []string) error {
		sqlite, err := matrixauth.SQLiteVersion(cmd.Context())
		if err != nil {
			return err
		}
		return say(cmd.OutOrStdout(), "matrix-auth %s, SQLite %s", moduleVersion(), sqlite)
	})
	return cmd
}

const modulePath = "github.com/caddy-matrix-auth/caddy-matrix-auth"

// moduleVersion is the version that this module was built at, as far as the build knows.
func moduleVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dep := range append(info.Deps, &info.Main) {
		if dep.Path == modulePath && dep.Version != "" {
			return dep.Version
		}
	}
	return "development"
}
