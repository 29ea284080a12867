package caddymodule

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// packagedSynapse are the paths that Debian's service starts Synapse with.
var packagedSynapse = []string{"/etc/matrix-synapse/homeserver.yaml", "/etc/matrix-synapse/conf.d"}

// synapseFlags are the flags of the commands that look at Synapse's configuration or write to it.
func synapseFlags(cmd *cobra.Command) {
	cmd.Flags().StringArray("synapse-config", nil, "A file or folder of Synapse's configuration; repeated, in the order of Synapse's own --config-path (default: "+
		strings.Join(packagedSynapse, " and ")+" if they exist)")
	cmd.Flags().String("endpoint", "", "The address at which Synapse reaches this server, if it is not the one of internal_listen")
}

// synapseFiles are the paths of Synapse's configuration. found tells that nobody named them.
type synapseFiles struct {
	paths []string
	found bool
}

// synapseFiles returns those that the flags name. Without a flag they are those of Debian's package, if Synapse
// is on this machine; none, if it is not, and with an empty flag.
func (s site) synapseFiles(cmd *cobra.Command) (synapseFiles, error) {
	named, err := cmd.Flags().GetStringArray("synapse-config")
	if err != nil {
		return synapseFiles{}, err
	}
	if cmd.Flags().Changed("synapse-config") {
		return synapseFiles{paths: slices.DeleteFunc(named, func(path string) bool { return path == "" })}, nil
	}
	if !s.synapseIsNear() {
		return synapseFiles{}, nil
	}
	if _, err := os.Stat(packagedSynapse[0]); err != nil {
		return synapseFiles{}, nil //nolint:nilerr // Not installed from Debian's package, or not for this user to see.
	}
	paths := slices.Clone(packagedSynapse[:1])
	for _, path := range packagedSynapse[1:] {
		if _, err := os.Stat(path); err == nil {
			paths = append(paths, path)
		} else if !errors.Is(err, os.ErrNotExist) {
			return synapseFiles{}, err
		}
	}
	return synapseFiles{paths: paths, found: true}, nil
}

// synapseIsNear reports whether we reach Synapse on this machine, as far as its address tells.
func (s site) synapseIsNear() bool {
	u, err := url.Parse(s.config.Endpoint)
	return err == nil && (u.Host == "" || matrixauth.IsLoopback(u.Hostname()))
}

// listensNear reports whether all addresses of the internal listener are on loopback.
func (s site) listensNear() bool {
	return len(s.listen) > 0 && !slices.ContainsFunc(s.listen, func(address string) bool {
		host, _, err := net.SplitHostPort(address)
		return err != nil || !matrixauth.IsLoopback(host)
	})
}

// endpointFlag returns the address that is given in place of the one that follows from the configuration.
func endpointFlag(cmd *cobra.Command) (string, error) {
	endpoint, err := cmd.Flags().GetString("endpoint")
	if err != nil || endpoint == "" {
		return "", err
	}
	if err := matrixauth.CheckSynapseEndpoint(endpoint); err != nil {
		return "", fmt.Errorf("--endpoint: %w", err)
	}
	return endpoint, nil
}
