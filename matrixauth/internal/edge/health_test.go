package edge_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

func TestHealth(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	s := h.LoginOn("alice", "PHONE")
	h.Fake.Stop()
	h.Logout(s.AccessToken).Want(t, http.StatusOK, "")
	h.Clock.Move(90 * time.Second)
	a := h.Do(house.Call{Path: "/health", Inside: true})
	if want := h.Healthy(1, 90); a.Status != http.StatusOK || a.Body != want {
		t.Errorf("got %d %s, want %s", a.Status, a.Body, want)
	}
	h.Fake.Resume()
}
