package matrixauth

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/doctor"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/synapseconfig"
)

// Migration is a change of Synapse's configuration, not written yet.
type Migration struct {
	// Diff shows what changes, without the secret.
	Diff string
	// Secret is the one that Synapse and we share by it.
	Secret string
	// Notes are sentences for the operator.
	Notes []string

	planned []*synapseconfig.Migration
}

// PlanDelegation reads what Synapse reads when it is started with these paths, and plans the change by which it leaves its
// logins to us at the endpoint: the block is put in, and what keeps Synapse from starting then becomes comments. The secret
// is written into the block unless secretPath names a file for it; without either the change can be looked at only.
func PlanDelegation(paths []string, endpoint, secret, secretPath string) (*Migration, error) {
	config, err := synapseconfig.Read(paths...)
	if err != nil {
		return nil, err
	}
	planned, err := config.Delegate(synapseconfig.DelegateOptions{Endpoint: endpoint, Secret: secret, SecretPath: secretPath})
	if err != nil {
		return nil, err
	}
	m := changeOf(planned)
	m.Secret = secret
	m.noteOpenFile(planned[0])
	return m, nil
}

// PlanBack plans the way back from PlanDelegation, by the copies that were made then. What was changed by hand since stays,
// and is said in the notes; where both changed the same lines it is an error that names them.
func PlanBack(paths []string) (*Migration, error) {
	config, err := synapseconfig.Read(paths...)
	if err != nil {
		return nil, err
	}
	planned, err := config.Back()
	if err != nil {
		return nil, err
	}
	return changeOf(planned), nil
}

// changeOf puts the changes of several files together.
func changeOf(planned []*synapseconfig.Migration) *Migration {
	m := &Migration{planned: planned}
	for _, p := range planned {
		m.Diff += p.Diff
		m.Notes = append(m.Notes, p.Notes...)
		for _, c := range p.Conflicts {
			m.Notes = append(m.Notes, fmt.Sprintf("%s:%d: %s; %s", c.Path, c.Line, c.What, c.Change))
		}
	}
	return m
}

// noteOpenFile says that everybody may read the file that will hold the secret, if so.
func (m *Migration) noteOpenFile(holds *synapseconfig.Migration) {
	if holds.SecretPath == "" && doctor.OpenToAll(holds.Path) {
		m.Notes = append(m.Notes, fmt.Sprintf("Everybody on this machine may read %s, which holds the secret that makes its bearer master of all accounts: close it to all but Synapse's user, or name a file for the secret with --secret-path.", holds.Path))
	}
}

// PlanMigration reads what Synapse reads when it is started with these paths, and plans its migration, after
// which Synapse finds us at the endpoint. If secretPath is not empty, the new block names that file in place
// of the token that the old one holds. Its errors name file and line and say why a file is refused.
func PlanMigration(paths []string, endpoint, secretPath string) (*Migration, error) {
	config, err := synapseconfig.Read(paths...)
	if err != nil {
		return nil, err
	}
	planned, err := config.MigrateMSC3861(synapseconfig.Options{Endpoint: endpoint, SecretPath: secretPath})
	if err != nil {
		return nil, err
	}
	m := &Migration{Diff: planned.Diff, Secret: planned.Secret, Notes: planned.Notes, planned: []*synapseconfig.Migration{planned}}
	m.noteOpenFile(planned)
	for _, c := range planned.Conflicts {
		m.Notes = append(m.Notes, fmt.Sprintf("%s:%d: %s; %s", c.Path, c.Line, c.What, c.Change))
	}
	return m, nil
}

// Write writes the changed files, all or none, each after a backup copy, and returns their paths and those of the copies,
// with commas between several. A file is another than the one that was named if that is a link.
func (m *Migration) Write() (written, backup string, err error) {
	all, err := synapseconfig.Write(m.planned, time.Now())
	var paths, copies []string
	for _, w := range all {
		paths, copies = append(paths, w.Path), append(copies, w.Backup)
	}
	return strings.Join(paths, ", "), strings.Join(copies, ", "), err
}
