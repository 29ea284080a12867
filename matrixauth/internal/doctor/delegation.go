package doctor

import (
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/synapseconfig"
)

// Delegation is what Synapse must know to delegate its logins to us.
type Delegation struct {
	// Endpoint is where Synapse reaches us.
	Endpoint string
	// Secret is the shared secret; SecretPath a file that holds it, which Synapse must be able to read.
	// The file is preferred.
	Secret, SecretPath string
}

// Block returns the block for homeserver.yaml. Without SecretPath it holds the secret, so it is for the one
// place where somebody asked for it.
func (d Delegation) Block() string {
	return synapseconfig.Block(d.Endpoint, d.Secret, d.SecretPath)
}

// shownBlock is Block for findings, which people paste into chats and bug reports: it never holds the
// secret, but says how to have it printed.
func (d Delegation) shownBlock() string {
	block := strings.TrimSpace(synapseconfig.MaskedBlock(d.Endpoint, d.SecretPath))
	if d.SecretPath != "" {
		return block
	}
	return block + "\nwith the secret, which \"caddy matrix-auth synapse-config\" prints"
}

// Obstacle is something in Synapse's configuration that does not go with the block that is to be put there.
type Obstacle struct {
	// Where is the place, as "path:line".
	Where string
	// What says what is wrong, and Change what to do.
	What, Change string
}

// FindObstacles reads what Synapse reads when it is started with these paths, and lists what is in the way
// of our block. serverName is the one that we are configured with.
func FindObstacles(paths []string, serverName string) ([]Obstacle, error) {
	config, err := synapseconfig.Read(paths...)
	if err != nil {
		return nil, err
	}
	var all []Obstacle
	for _, place := range config.Blocks() {
		all = append(all, Obstacle{place, "a matrix_authentication_service block is here already, and of several only the one that is read last counts", "remove it, or put the new one in its place"})
	}
	for _, c := range config.SettingsToRemove() {
		all = append(all, Obstacle{placeOf(c.Path, c.Line), c.Key + ": " + c.What, c.Change})
	}
	if name, path, line := config.ServerName(); name != "" && name != serverName {
		all = append(all, Obstacle{placeOf(path, line), otherServerName(name, serverName), "matrix_auth " + name + " in the Caddyfile"})
	}
	return all, nil
}
