package matrixauth_test

import (
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/doctor"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestDamagedPage damages each page of a database in turn. Whoever needs it is told to wait: nobody hears that a token or a
// code is worth nothing, upon which clients sign out and destroy what they have.
func TestDamagedPage(t *testing.T) {
	h := newTraveller(t)
	phone := h.refreshed(h.legacy(), 2)
	laptop := h.OauthSession("bob", "app", "LAPTOP")
	whole := h.copied()
	const page = 4096
	damaged, hurt := 0, 0
	for at := page; at < len(whole); at += page {
		content := append([]byte(nil), whole...)
		copy(content[at:at+page], make([]byte, page))
		h.Die()
		for _, name := range []string{h.File, h.File + "-wal", h.File + "-shm"} {
			if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		h.Must(os.WriteFile(h.File, content, 0o600))
		if !h.opens() {
			hurt++
			h.Must(os.WriteFile(h.File, whole, 0o600))
			h.Open()
			continue
		}
		h.Open()
		answers := map[string]house.Answer{
			"introspection of an access token": h.Introspect(phone.AccessToken), "introspection of another": h.Introspect(laptop.AccessToken),
			"refresh": h.Refresh(phone.RefreshToken), "OAuth refresh": h.Renew("app", laptop.RefreshToken),
		}
		h.Must(errors.Join(h.Store.QuickCheck(t.Context())))
		if h.Store.Damaged() != nil {
			damaged++
		}
		for what, a := range answers {
			switch {
			case a.Status == http.StatusOK && !strings.Contains(a.Body, `"active":false`):
			case a.Status == http.StatusServiceUnavailable && a.Header.Get("Retry-After") != "":
				hurt++
			default:
				t.Errorf("page %d: %s: %d %s", at/page+1, what, a.Status, a.Body)
			}
		}
	}
	if damaged == 0 || hurt == 0 {
		t.Errorf("of %d pages %d were found to be damaged, and %d requests needed one", len(whole)/page, damaged, hurt)
	}
	content := append([]byte(nil), whole...)
	copy(content[len(content)-page:], make([]byte, page))
	h.backTo(content)
	h.WantFinding(t, func(d *doctor.Visit) { d.CheckDatabase = true; d.Database(t.Context()) }, false, "damaged", "caddy matrix-auth restore FILE")
	h.backTo(whole)
	h.WantFinding(t, func(d *doctor.Visit) { d.CheckDatabase = true; d.Database(t.Context()) }, true, "is whole", "")
	h.refreshed(phone, 1)
}

// opens reports whether a server opens the database at all. While it does not, everything of ours is answered 503.
func (h traveller) opens() bool {
	h.T.Helper()
	core, err := matrixauth.Open(h.T.Context(), matrixauth.OpenOptions{Database: h.File})
	if err != nil {
		return false
	}
	_, err = matrixauth.New(core, h.Config, matrixauth.Deps{Logger: slog.New(slog.DiscardHandler)})
	h.Must(core.Close())
	return err == nil
}
