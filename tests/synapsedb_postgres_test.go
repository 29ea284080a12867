package tests

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestSynapseDatabaseInPostgres runs those tests of the reader of Synapse's database that need a PostgreSQL.
func TestSynapseDatabaseInPostgres(t *testing.T) {
	postgres := rig.StartPostgres(t)
	cmd := exec.Command("go", "test", "-count=1", "-run", "ReadsPostgres|WritesPostgres|PostgresRefuses", "./matrixauth/internal/synapsedb")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "SYNAPSEDB_POSTGRES="+postgres.Dir, fmt.Sprintf("PGPORT=%d", postgres.Port))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
