package matrixauth

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// hidden is the value of a hidden field.
func hidden(body, name string) string {
	_, rest, _ := strings.Cut(body, fmt.Sprintf(`name=%q value="`, name))
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// browserOf is the id of a user's newest browser session.
func (h *house) browserOf(localpart string) (id string) {
	h.t.Helper()
	user := h.userID(localpart)
	h.view(func(tx *store.Tx) error {
		live, err := tx.LiveBrowserSessions(user)
		for _, s := range live {
			id = s.ID
		}
		return err
	})
	return id
}

// wantPageOnly checks that a person is told, and nobody is sent anywhere (AUTHZ-3).
func wantPageOnly(t testing.TB, a answer, forbidden ...string) {
	t.Helper()
	if a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
		t.Errorf("got %d to %q, want a page", a.status, a.header.Get("Location"))
	}
	for _, text := range forbidden {
		if strings.Contains(a.body, text) {
			t.Errorf("the page repeats %q", text) // HTTP-16
		}
	}
	wantPageHeaders(t, a)
}

// formAction is where the first form of a page goes.
func formAction(body string) string {
	_, rest, _ := strings.Cut(body, `action="`)
	action, _, _ := strings.Cut(rest, `"`)
	return action
}
