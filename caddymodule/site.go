package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// site is what the commands know of a configuration, and of the service that has it.
type site struct {
	file, adapter string
	resolved
	given Settings
	// raw is the whole configuration as JSON; nil if it cannot be read here.
	raw []byte
	// problem says why the settings cannot be used here. A server that runs has read them all the same, with
	// variables and files that this process may lack.
	problem error
	// lacks reports whether the problem is nothing but variables that are not set here.
	lacks bool
	// unset are variables of the configuration that this process lacks.
	unset []string
	// databaseNamed reports whether a flag named the database; configured is the one without it.
	databaseNamed bool
	configured    string
	service       service
}

// loadSite reads the configuration that the flags name. That it needs variables which are not set here is no
// error but the site's problem.
func loadSite(cmd *cobra.Command) (site, error) {
	var s site
	var err error
	if s.service, err = findService(cmd); err != nil {
		return s, err
	}
	if err := s.service.takeEnvfiles(cmd); err != nil {
		return s, err
	}
	if err := s.service.adopt(); err != nil {
		return s, err
	}
	if s.file, s.adapter, err = configFlags(cmd, s.service); err != nil {
		return s, err
	}
	if err := s.read(cmd); errors.Is(err, errNoSettings) {
		return s, fmt.Errorf("%s %w; name the right file with --config", s.file, err)
	} else if err != nil {
		return s, fmt.Errorf("%s: %w", s.file, err)
	}
	s.configured = s.database
	database, err := cmd.Flags().GetString("database")
	if err != nil || database == "" {
		return s, nil // a command without the flag
	}
	if s.database, err = filepath.Abs(database); err != nil {
		return s, err
	}
	s.databaseNamed = true
	return s, nil
}

// errNoSettings says that nothing in a configuration is ours.
var errNoSettings = errors.New("has no matrix_auth with settings")

// read reads the configuration and checks its settings.
func (s *site) read(cmd *cobra.Command) error {
	config, raw, err := readConfig(cmd, s.file, s.adapter)
	s.unset = unsetVariables(s.file, config.text, 0)
	var found bool
	if err == nil {
		s.raw = raw
		if s.given, found, err = findSettings(raw); err == nil && !found {
			err = errNoSettings
		}
	}
	switch {
	case err != nil && len(s.unset) == 0:
		return err
	case err != nil:
		s.problem = fmt.Errorf("%s cannot be read here, as %s: %w", s.file, s.lacking(), err)
		s.raw, s.given, s.lacks = nil, Settings{}, true
	}
	err = s.resolve(config.file)
	switch {
	case s.problem != nil || err == nil:
	case onlyUnset(err):
		s.lacks = true
		s.problem = fmt.Errorf("%s: %w; variables that only the service has are read from a file by --envfile%s", s.file, err, s.service.unread())
	default:
		s.problem = fmt.Errorf("%s: %w", s.file, err)
	}
	return nil
}

// resolve checks the settings. The files that they name are read with the rights of who wrote the configuration:
// whoever has taken over Caddy's user, where the configuration is that user's, must not have root read a file for
// them and send it as the secret to an address of their choice (KEY-14).
func (s *site) resolve(file fs.FileInfo) (err error) {
	if file == nil { // standard input
		s.resolved, err = s.given.resolve()
		return err
	}
	by, failed := matrixauth.AsOwner(file, func() { s.resolved, err = s.given.resolve() })
	switch {
	case failed != nil:
		return failed
	case err != nil && by != "" && !onlyUnset(err):
		return fmt.Errorf("%w (what it names is read with the rights of %s, whose file it is)", err, by)
	}
	return err
}

// lacking returns which variables are not set.
func (s site) lacking() string {
	names := make([]string, len(s.unset))
	for i, name := range s.unset {
		names[i] = "{$" + name + "}"
	}
	are := " are"
	if len(names) == 1 {
		are = " is"
	}
	return strings.Join(names, ", ") + are + " not set in this environment (--envfile FILE reads a file of variables)" + s.service.unread()
}

// defaultConfigs are where a configuration is looked for.
var defaultConfigs = []string{"Caddyfile", "/etc/caddy/Caddyfile"}

func configFlags(cmd *cobra.Command, s service) (file, adapter string, err error) {
	if file, err = cmd.Flags().GetString("config"); err != nil {
		return "", "", err
	}
	if adapter, err = cmd.Flags().GetString("adapter"); err != nil {
		return "", "", err
	}
	if file != "" {
		return file, adapter, nil
	}
	candidates := defaultConfigs
	if s.config != "" {
		candidates = append(slices.Clone(candidates), s.config)
	}
	for _, candidate := range candidates {
		if info, err := os.Stat(candidate); err == nil {
			return candidate, adapter, checkFound(candidate, info, s)
		}
	}
	return "", "", errors.New("there is neither ./Caddyfile nor /etc/caddy/Caddyfile; name the configuration with --config")
}

// checkFound refuses a configuration that was found in the working directory and is somebody else's: whoever
// can write there would have root's passwords sent where they like.
func checkFound(file string, info fs.FileInfo, s service) error {
	owner, known := matrixauth.FileOwner(info)
	if !known || filepath.IsAbs(file) || owner == 0 || owner == os.Geteuid() || slices.Contains(believedUsers(s), owner) {
		return nil
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
