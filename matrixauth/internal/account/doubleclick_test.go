package account_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestDoubleClick: a form for signing in that is sent twice at once leads to one browser session, whose cookies come with
// both answers, so that it does not matter which of them the browser takes.
func TestDoubleClick(t *testing.T) {
	h := house.New(t)
	h.Add("alice")
	page := h.Browser()
	page.Get("/account/login").WantPage(t, http.StatusOK, "Sign in")
	tabs := make([]*house.Browser, 2)
	var group sync.WaitGroup
	for i := range tabs {
		tabs[i] = h.BrowserWith(page.Value())
		tabs[i].At = page.At
		group.Go(func() { tabs[i].Post("/account/login", "username", "alice", "password", house.AlicesPassword) })
	}
	group.Wait()
	for _, tab := range tabs {
		tab.At.WantTo(t, "/account/")
		for name, value := range tab.Cookies {
			if value != tabs[0].Cookies[name] {
				t.Errorf("the answers set different cookies %s", name)
			}
		}
	}
	if tabs[0].Value() == page.Value() {
		t.Error("the cookie kept its value over the sign-in") // SESS-2
	}
	if n := h.Count("browser_sessions"); n != 1 {
		t.Errorf("%d browser sessions", n)
	}
	tabs[0].Get("/account/").WantPage(t, http.StatusOK, "Apps and devices")
}
