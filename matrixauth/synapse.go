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

// ExamineSynapse looks at a homeserver.yaml. version is that of the running Synapse, empty if it is
// not known; serverName is the one that we are configured with.
func ExamineSynapse(path string, want Delegation, serverName, version string) []Finding {
	const check = "homeserver.yaml"
	file, err := synapseconfig.Read(path)
	if err != nil {
		return []Finding{{Check: check, What: err.Error(), Where: path, Change: "name the right file with --synapse-config, and run the command as a user who may read it"}}
	}
	var all []Finding
	add := func(line int, what, change string) {
		all = append(all, Finding{Check: check, What: what, Where: fmt.Sprintf("%s:%d", path, line), Change: change})
	}
	for _, c := range file.Conflicts() {
		if !harmless(c.Before, version) {
			add(c.Line, c.Key+": "+c.What, c.Change)
		}
	}
	if name := file.ServerName(); name != "" && name != serverName {
		add(file.ServerNameLine(), fmt.Sprintf("its server_name is %s, and the Caddyfile says %s", name, serverName), "matrix_auth "+name+" in the Caddyfile")
	}
	block := file.MAS()
	if block == nil {
		all = append(all, Finding{Check: check, What: "it does not delegate logins to us", Where: path, Change: want.shownBlock()})
	} else {
		compareDelegation(block, want, add)
	}
	if len(all) == 0 {
		all = append(all, Finding{Check: check, OK: true, What: path + " delegates logins to us, and nothing in it keeps Synapse from starting"})
	}
	return all
}

func compareDelegation(block *synapseconfig.MAS, want Delegation, add func(line int, what, change string)) {
	if block.Endpoint != "" && strings.TrimSuffix(block.Endpoint, "/") != strings.TrimSuffix(want.Endpoint, "/") {
		add(block.EndpointLine, "its endpoint is "+withoutUser(block.Endpoint), fmt.Sprintf("endpoint: %q", want.Endpoint))
	}
	secret, err := block.Secret()
	if err != nil {
		add(block.SecretLine, "its secret cannot be read: "+err.Error(), "make the file readable, or name another one")
		return
	}
	if secret != "" && want.Secret != "" && secret != want.Secret {
		change := "write the same secret in both files"
		if want.SecretPath != "" {
			change = fmt.Sprintf("secret_path: %q", want.SecretPath)
		}
		add(block.SecretLine, "its secret is not ours", change)
	}
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
