package matrixauth

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
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

// Block is the block for homeserver.yaml. Without SecretPath it holds the secret, so it is for the one
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

// Removal is a setting that must go from homeserver.yaml, with the reason.
type Removal struct{ Key, Why string }

// SettingsToRemove lists the settings that keep Synapse from starting once its logins are delegated (SYN-16).
func SettingsToRemove() []Removal {
	var all []Removal
	for _, r := range synapseconfig.KeysToRemove() {
		all = append(all, Removal(r))
	}
	return all
}

const homeserverCheck = "homeserver.yaml"

// ExamineSynapse looks at a homeserver.yaml. version is that of the running Synapse, empty if it is
// not known; serverName is the one that we are configured with.
func ExamineSynapse(path string, want Delegation, serverName, version string) []Finding {
	file, err := synapseconfig.Read(path)
	if err != nil {
		return []Finding{Wrong(homeserverCheck, "unreadable", err.Error(), path, "name the right file with --synapse-config, and run the command as a user who may read it")}
	}
	var all []Finding
	for _, c := range file.Conflicts() {
		if !harmless(c.Before, version) {
			all = append(all, Wrong(homeserverCheck, c.Key, c.Key+": "+c.What, lineOf(path, c.Line), c.Change))
		}
	}
	if name := file.ServerName(); name != "" && name != serverName {
		all = append(all, Wrong(homeserverCheck, "other-server-name", fmt.Sprintf("its server_name is %s, and the Caddyfile says %s", name, serverName),
			lineOf(path, file.ServerNameLine()), "matrix_auth "+name+" in the Caddyfile"))
	}
	block := file.MAS()
	if block == nil {
		all = append(all, Wrong(homeserverCheck, "not-delegated", "it does not delegate logins to us", path, want.shownBlock()))
	} else {
		all = append(all, compareDelegation(path, block, want)...)
	}
	if len(all) == 0 {
		all = append(all, Well(homeserverCheck, "%s delegates logins to us, and nothing in it keeps Synapse from starting", path))
	}
	return all
}

func lineOf(path string, line int) string { return fmt.Sprintf("%s:%d", path, line) }

func compareDelegation(path string, block *synapseconfig.MAS, want Delegation) (all []Finding) {
	if block.Endpoint != "" && strings.TrimSuffix(block.Endpoint, "/") != strings.TrimSuffix(want.Endpoint, "/") {
		all = append(all, Wrong(homeserverCheck, "other-endpoint", "its endpoint is "+withoutUser(block.Endpoint), lineOf(path, block.EndpointLine), fmt.Sprintf("endpoint: %q", want.Endpoint)))
	}
	secret, err := block.Secret()
	if err != nil {
		return append(all, Wrong(homeserverCheck, "secret-unreadable", "its secret cannot be read: "+err.Error(), lineOf(path, block.SecretLine), "make the file readable, or name another one"))
	}
	if secret != "" && want.Secret != "" && secret != want.Secret {
		change := "write the same secret in both files"
		if want.SecretPath != "" {
			change = fmt.Sprintf("secret_path: %q", want.SecretPath)
		}
		all = append(all, Wrong(homeserverCheck, "other-secret", "its secret is not ours", lineOf(path, block.SecretLine), change))
	}
	return all
}

// withoutUser is an address for a finding, without the password that may stand in it.
func withoutUser(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return address
	}
	u.User = nil
	return u.String()
}

// harmless reports whether a setting does no harm from a version of Synapse on that is the running one.
func harmless(before, version string) bool {
	if before == "" || version == "" {
		return false
	}
	from, err := homeserver.ParseVersion(before)
	if err != nil {
		from, err = homeserver.ParseVersion(before + ".0")
	}
	running, err2 := homeserver.ParseVersion(version)
	return err == nil && err2 == nil && !running.Less(from)
}

// Migration is a homeserver.yaml moved from experimental_features.msc3861 to our block, not written yet.
type Migration struct {
	// Diff shows what changes, without the secret.
	Diff string
	// Secret is the one that both services shared until now.
	Secret string
	// Notes are sentences for the operator.
	Notes []string

	path    string
	planned *synapseconfig.Migration
}

// PlanMigration reads a homeserver.yaml and plans its migration. Its errors name file and line and say
// why a file is refused.
func PlanMigration(path, endpoint string) (*Migration, error) {
	file, err := synapseconfig.Read(path)
	if err != nil {
		return nil, err
	}
	planned, err := file.MigrateMSC3861(synapseconfig.Options{Endpoint: endpoint})
	if err != nil {
		return nil, err
	}
	m := &Migration{Diff: planned.Diff, Secret: planned.Secret, Notes: planned.Notes, path: path, planned: planned}
	for _, c := range planned.Conflicts {
		m.Notes = append(m.Notes, fmt.Sprintf("%s:%d: %s; %s", path, c.Line, c.What, c.Change))
	}
	return m, nil
}

// AlreadyMigrated reports whether an error of PlanMigration says that there is nothing left to do.
func AlreadyMigrated(err error) bool { return errors.Is(err, synapseconfig.ErrAlreadyMigrated) }

// Write writes the migrated file after a backup copy, whose path it gives.
func (m *Migration) Write() (backup string, err error) {
	return synapseconfig.Write(m.path, m.planned, time.Now())
}
