package matrixauth_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestBackupsAreTold: how it goes with the backups that a server makes by itself is in the metrics and in what the doctor
// finds.
func TestBackupsAreTold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "backups")
	h := house.New(t, func(c *matrixauth.Config) { c.Backup.Dir = dir })
	finding := func() matrixauth.Finding {
		t.Helper()
		d, err := matrixauth.Examine.Do(t.Context(), h.Ops, matrixauth.Examination{})
		h.Must(err)
		for _, f := range d.Findings {
			if f.Check == "backup" {
				return f
			}
		}
		t.Fatalf("nothing about backups in %+v", d.Findings)
		return matrixauth.Finding{}
	}
	h.Wiring.Backups.Pass(t.Context())
	made := h.Clock.Now().Truncate(time.Second)
	if m := h.Metrics(); m["backup_timestamp_seconds"] != float64(made.Unix()) || m["backup_failing"] != 0 {
		t.Errorf("the metrics are %v and %v", m["backup_timestamp_seconds"], m["backup_failing"])
	}
	if f := finding(); !f.OK || !strings.Contains(f.What, made.Format(time.RFC3339)) || !strings.Contains(f.What, "7 are kept") {
		t.Errorf("the doctor says %+v", f)
	}

	h.Clock.Move(50 * time.Hour) // and nobody makes one
	if f := finding(); f.ID != "backup/old" {
		t.Errorf("the doctor says %+v", f)
	}
	h.Must(os.RemoveAll(dir))
	h.Must(os.WriteFile(dir, nil, 0o600))
	h.Wiring.Backups.Pass(t.Context())
	if m := h.Metrics(); m["backup_timestamp_seconds"] != float64(made.Unix()) || m["backup_failing"] != 1 {
		t.Errorf("the metrics are %v and %v", m["backup_timestamp_seconds"], m["backup_failing"])
	}
	if f := finding(); f.ID != "backup/failed" {
		t.Errorf("the doctor says %+v", f)
	}

	plain := house.New(t)
	if failing, there := plain.Metrics()["backup_failing"]; !there || failing != 0 {
		t.Errorf("whether backups fail that nobody wants is told as %v, %v", failing, there)
	}
	d, err := matrixauth.Examine.Do(t.Context(), plain.Ops, matrixauth.Examination{})
	plain.Must(err)
	for _, f := range d.Findings {
		if f.Check == "backup" && !f.OK {
			t.Errorf("the doctor says %+v", f)
		}
	}
}
