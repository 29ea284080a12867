package matrixauth

import (
	"fmt"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/doctor"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/synapseconfig"
)

// Migration is Synapse's configuration moved from experimental_features.msc3861 to our block, not written yet.
type Migration struct {
	// Diff shows what changes, without the secret.
	Diff string
	// Secret is the one that both services shared until now.
	Secret string
	// Notes are sentences for the operator.
	Notes []string

	planned *synapseconfig.Migration
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
	m := &Migration{Diff: planned.Diff, Secret: planned.Secret, Notes: planned.Notes, planned: planned}
	if planned.SecretPath == "" && doctor.OpenToAll(planned.Path) {
		m.Notes = append(m.Notes, fmt.Sprintf("Everybody on this machine may read %s, which holds the secret that makes its bearer master of all accounts: close it to all but Synapse's user, or name a file for the secret with --secret-path.", planned.Path))
	}
	for _, c := range planned.Conflicts {
		m.Notes = append(m.Notes, fmt.Sprintf("%s:%d: %s; %s", c.Path, c.Line, c.What, c.Change))
	}
	return m, nil
}

// Write writes the migrated file after a backup copy, and returns the paths of both. The file is another
// than the one that was named if that is a link.
func (m *Migration) Write() (written, backup string, err error) {
	return synapseconfig.Write(m.planned, time.Now())
}
