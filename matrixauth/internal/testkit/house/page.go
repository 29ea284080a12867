package house

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Hidden is the value of a hidden field.
func Hidden(body, name string) string {
	_, rest, _ := strings.Cut(body, fmt.Sprintf(`name=%q value="`, name))
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// BrowserOf is the id of a user's newest browser session.
func (h *House) BrowserOf(localpart string) (id string) {
	h.T.Helper()
	user := h.UserID(localpart)
	h.View(func(tx *store.Tx) error {
		live, err := tx.LiveBrowserSessions(user)
		for _, s := range live {
			id = s.ID
		}
		return err
	})
	return id
}

// WantPageOnly checks that a person is told, and nobody is sent anywhere (AUTHZ-3).
func WantPageOnly(t testing.TB, a Answer, forbidden ...string) {
	t.Helper()
	if a.Status != http.StatusBadRequest || a.Header.Get("Location") != "" {
		t.Errorf("got %d to %q, want a page", a.Status, a.Header.Get("Location"))
	}
	for _, text := range forbidden {
		if strings.Contains(a.Body, text) {
			t.Errorf("the page repeats %q", text) // HTTP-16
		}
	}
	WantPageHeaders(t, a)
}

// FormAction is where the first form of a page's content goes.
func FormAction(body string) string {
	_, content, _ := strings.Cut(body, "<main")
	_, rest, _ := strings.Cut(content, `action="`)
	action, _, _ := strings.Cut(rest, `"`)
	return action
}
