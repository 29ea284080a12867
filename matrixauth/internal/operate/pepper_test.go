package operate_test

import (
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/operate"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestPepperIsNotShown: the pepper of another server is in no line of the log, in no row and in no printed form.
func TestPepperIsNotShown(t *testing.T) {
	h := house.New(t)
	const pepper = "the-pepper-of-synapse"
	target := operate.MoveTarget{Caller: h.Ops}
	for range 2 {
		h.Must(target.TakePepper(t.Context(), pepper))
	}
	if h.Count("password_peppers") != 1 {
		t.Errorf("%d peppers are kept of one", h.Count("password_peppers"))
	}
	if !strings.Contains(h.Log.String(), `"action":"move.pepper"`) {
		t.Errorf("the log is\n%s", h.Log)
	}
	for _, where := range []string{h.Log.String(), h.Rows(), operate.Pepper{Text: pepper}.String(), operate.Pepper{Text: pepper}.GoString()} {
		if strings.Contains(where, pepper) {
			t.Error("the pepper is shown")
		}
	}
}
