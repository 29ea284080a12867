package house

import (
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/doctor"
)

// WantFinding runs one check of the doctor and checks its first finding, whose texts must hold what and change.
func (h *House) WantFinding(t testing.TB, look func(*doctor.Visit), ok bool, what, change string) {
	t.Helper()
	d, err := h.Wiring.Doctor.Begin(matrixauth.Examination{})
	h.Must(err)
	defer d.End()
	look(d)
	if len(d.Findings) == 0 {
		t.Fatal("it found nothing, not even that all is well")
	}
	f := d.Findings[0]
	if f.OK != ok || !strings.Contains(f.What, what) || !strings.Contains(f.Change, change) {
		t.Errorf("it found %+v", f)
	}
	if !f.OK && (f.Where == "" || f.Change == "") {
		t.Errorf("it does not say where, or what to change: %+v", f)
	}
}
