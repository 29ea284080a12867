package matrixauth_test

import (
	"slices"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestEveryKindIsHandled: each kind of work whose name is stored has one handler, and the metrics know each that
// is handled. A job without a handler would wait for ever, and every login of its user with it.
func TestEveryKindIsHandled(t *testing.T) {
	h := house.New(t)
	var handled []model.JobKind
	for _, handler := range h.Server.Handlers() {
		handled = append(handled, handler.Kind())
	}
	want := slices.Clone(model.JobKinds)
	slices.Sort(want)
	slices.Sort(handled)
	if !slices.Equal(handled, want) {
		t.Errorf("handled are %v, stored are %v", handled, want)
	}
}
