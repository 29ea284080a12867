package matrixauth_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/doctor"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// keyOf returns the number of the key that a token says it is proven by.
func keyOf(h *house.House, token string) int {
	h.T.Helper()
	said, ok := model.Describe(token)
	if !ok || said.Claims.Server != model.ServerMark(house.ServerName) {
		h.T.Fatalf("the token says %+v", said.Claims)
	}
	return int(said.Claims.Key)
}

// TestKeys: a server makes the key of its tokens once, and is at no loss without it.
func TestKeys(t *testing.T) {
	look := func(d *doctor.Visit) { d.TokenKeys(t.Context()) }
	t.Run("made_once", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		path := matrixauth.KeyFile(h.File)
		before, err := os.ReadFile(path)
		h.Must(err)
		h.Crash()
		if after, err := os.ReadFile(path); err != nil || string(after) != string(before) || keyOf(h, h.Login("alice", nil).AccessToken) != 1 {
			t.Errorf("a start changes the key, %v", err)
		}
		h.WantFinding(t, look, true, path, "")
	})
	t.Run("renewed_for_all_configurations", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		other, err := matrixauth.New(h.Core, h.Config, matrixauth.Deps{Logger: slog.New(slog.DiscardHandler)})
		h.Must(err)
		made, err := matrixauth.RenewKey.Do(t.Context(), other.Operator(), matrixauth.KeyRenewal{Leaked: true})
		if err != nil || made != (matrixauth.RenewedKey{Number: 2, File: matrixauth.KeyFile(h.File)}) || keyOf(h, h.Login("alice", nil).AccessToken) != 2 {
			t.Errorf("the new key is %+v, %v", made, err)
		}
		if h.Count("events WHERE action = 'key.renew'") != 1 {
			t.Error("the audit log does not tell")
		}
	})
	t.Run("damaged", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		path := matrixauth.KeyFile(h.File)
		kept, err := os.ReadFile(path)
		h.Must(err)
		old := h.Login("alice", house.Object{"refresh_token": true})
		h.Must(os.Truncate(path, 30))
		h.Crash()
		if log := h.Log.String(); !strings.Contains(log, "the keys of tokens cannot be used") || !strings.Contains(log, path) {
			t.Errorf("the log is %s", log)
		}
		h.WantFinding(t, look, false, "cut short", "put the file back")
		for _, token := range []string{h.Login("alice", nil).AccessToken, h.SignedIn(h.Refresh(old.RefreshToken)).AccessToken} {
			if _, ok := model.Describe(token); ok {
				t.Error("a token says something that nothing proves")
			}
		}
		h.Must(os.WriteFile(path, kept, 0o600))
		h.WantFinding(t, look, true, path, "")
		if keyOf(h, h.Login("alice", nil).AccessToken) != 1 {
			t.Error("the file that was put back is not used")
		}
	})
	t.Run("gone", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		h.Must(os.Remove(matrixauth.KeyFile(h.File)))
		h.Crash()
		if keyOf(h, h.Login("alice", nil).AccessToken) != 2 || !strings.Contains(h.Log.String(), "the keys of tokens were gone, and a new one was made") {
			t.Error("no new key was made, or nobody is told")
		}
		h.WantFinding(t, look, true, "is new", "")
	})
	t.Run("elsewhere", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "other.key")
		h := house.New(t, func(c *matrixauth.Config) { c.KeyFile = path })
		h.WantFinding(t, look, true, path, "")
		if _, err := os.Lstat(matrixauth.KeyFile(h.File)); err == nil {
			t.Error("there is one beside the database")
		}
		c := matrixauth.Config{ServerName: house.ServerName, Issuer: house.Issuer, KeyFile: "other.key"}.WithDefaults()
		if all := c.Validate(); len(all) != 1 || all[0].Option != "key_file" {
			t.Errorf("%v", all)
		}
	})
}
