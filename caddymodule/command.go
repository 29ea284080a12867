package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// command is "caddy matrix-auth …".
var command = caddycmd.Command{
	Name:  "matrix-auth",
	Short: "Manages the accounts and sessions of the Matrix authentication server",
	Long: `Manages the accounts and sessions of the Matrix authentication server.

The commands find the configuration in --config, or else in ./Caddyfile or
/etc/caddy/Caddyfile. They act through the running server if there is one, and
on its database otherwise. Results go to standard output, all else to standard
error.

Exit codes: 0 done (and for the doctor: nothing wrong), 1 anything else, 130
interrupted while a password was asked for.`,
	CobraFunc: func(root *cobra.Command) {
		root.PersistentFlags().StringP("config", "c", "", "Configuration file (default: ./Caddyfile, then /etc/caddy/Caddyfile)")
		root.PersistentFlags().StringP("adapter", "a", "", "Name of the config adapter, if the file is no Caddyfile or JSON")
		root.PersistentFlags().String("database", "", "Database file, in place of the configured one")
		root.PersistentFlags().String("service-user", "", "User (name or id) that the server runs as, if it is neither root, caddy nor the owner of configuration or database")
		root.AddCommand(userCommand(), sessionCommand(), consentCommand(), tokenCommand(), synapseConfigCommand(), doctorCommand(), migrateCommand(),
			backupCommand(), versionCommand())
	},
}

// defaultConfigs are where a configuration is looked for.
var defaultConfigs = []string{"Caddyfile", "/etc/caddy/Caddyfile"}

// site is what the commands know of a configuration.
type site struct {
	file string
	resolved
	given Settings
	// raw is the whole configuration as JSON.
	raw     []byte
	adapter string
	// databaseNamed tells that a flag named the database.
	databaseNamed bool
}

// loadSite reads the configuration that the flags name.
func loadSite(cmd *cobra.Command) (site, error) {
	file, adapter, err := configFlags(cmd)
	if err != nil {
		return site{}, err
	}
	raw, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return site{}, fmt.Errorf("%s: %w", file, err)
	}
	given, found, err := findSettings(raw)
	if err != nil {
		return site{}, fmt.Errorf("%s: %w", file, err)
	}
	if !found {
		return site{}, fmt.Errorf("%s has no matrix_auth with settings; name the right file with --config", file)
	}
	ready, err := given.resolve()
	if err != nil {
		return site{}, fmt.Errorf("%s: %w", file, err)
	}
	named := false
	if database, err := cmd.Flags().GetString("database"); err == nil && database != "" {
		if database, err = filepath.Abs(database); err != nil {
			return site{}, err
		}
		ready.database, named = database, true
		// A backup has no secret beside it.
		if _, err := os.Lstat(matrixauth.SecretFile(database)); err == nil {
			ready.secretFile = matrixauth.SecretFile(database)
		}
	}
	return site{file: file, resolved: ready, given: given, raw: raw, adapter: adapter, databaseNamed: named}, nil
}

func configFlags(cmd *cobra.Command) (file, adapter string, err error) {
	if file, err = cmd.Flags().GetString("config"); err != nil {
		return "", "", err
	}
	if adapter, err = cmd.Flags().GetString("adapter"); err != nil {
		return "", "", err
	}
	if file != "" {
		return file, adapter, nil
	}
	for _, candidate := range defaultConfigs {
		if info, err := os.Stat(candidate); err == nil {
			return candidate, adapter, judgeFound(cmd, candidate, info)
		}
	}
	return "", "", errors.New("there is neither ./Caddyfile nor /etc/caddy/Caddyfile; name the configuration with --config")
}

// judgeFound refuses a configuration that was found in the working directory and is somebody else's: whoever
// can write there would have root's passwords sent where they like.
func judgeFound(cmd *cobra.Command, file string, info fs.FileInfo) error {
	owner, known := matrixauth.FileOwner(info)
	if !known || filepath.IsAbs(file) || owner == 0 || owner == os.Geteuid() {
		return nil
	}
	if trusted, err := believedUsers(cmd); err != nil || slices.Contains(trusted, owner) {
		return err
	}
	return fmt.Errorf("./%s belongs to another user; name it with --config if it is the right one", file)
}

// findSettings walks a configuration for the handler that bears the settings.
func findSettings(raw []byte) (s Settings, found bool, err error) {
	var document any
	if err := json.Unmarshal(raw, &document); err != nil {
		return s, false, err
	}
	var walk func(node any) error
	walk = func(node any) error {
		switch node := node.(type) {
		case []any:
			for _, child := range node {
				if err := walk(child); err != nil {
					return err
				}
			}
		case map[string]any:
			if node["handler"] == "matrix_auth" && !found {
				text, err := json.Marshal(node)
				if err != nil {
					return err
				}
				var h Handler
				if err := json.Unmarshal(text, &h); err != nil {
					return err
				}
				if !h.empty() {
					s, found = h.Settings, true
				}
				return nil
			}
			for _, child := range node {
				if err := walk(child); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return s, found, walk(document)
}

// operatorCommand makes a command that reaches the database.
func operatorCommand(use, short string, args cobra.PositionalArgs, run func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: args}
	cmd.RunE = siteRun(func(cmd *cobra.Command, args []string, found site) error {
		operator, err := found.reach(cmd.Context(), cmd)
		if err != nil {
			return err
		}
		return errors.Join(run(cmd, args, operator), operator.Close())
	})
	return cmd
}

// siteRun makes the run of a command that needs the configuration and no database.
func siteRun(run func(cmd *cobra.Command, args []string, s site) error) func(*cobra.Command, []string) error {
	return caddyRun(func(cmd *cobra.Command, args []string) error {
		found, err := loadSite(cmd)
		if err != nil {
			return err
		}
		return run(cmd, args, found)
	})
}

// caddyRun keeps Caddy from printing its usage for every refusal, and strangers' words from the terminal.
func caddyRun(run func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		cmd.SilenceUsage = true
		if cmd.Context() == nil {
			cmd.SetContext(context.Background())
		}
		err := checkWords(cmd, args)
		if err == nil {
			err = run(cmd, args)
		}
		if err != nil {
			return shownError{err}
		}
		return nil
	}
}
