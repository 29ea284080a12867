package caddymodule

import (
	"path/filepath"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

func backupCommand() *cobra.Command {
	return operatorCommand("backup FILE", "Writes a consistent copy of the database to a new file", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			// The server may have another working directory.
			file, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			if _, err := matrixauth.Backup.Do(cmd.Context(), o, matrixauth.File{Path: file}); err != nil {
				return err
			}
			return say(cmd.OutOrStdout(), "%s", file)
		})
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
