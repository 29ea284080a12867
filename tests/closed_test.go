package tests

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestClosed takes the database away from a real Caddy before its start, in three ways, and puts it back: everybody is told
// to wait, by Caddy and by a real Synapse that asks about a token it never saw, nothing is made, and both an app of the
// legacy API and one of the OAuth API go on with the tokens that they had, without a reload.
func TestClosed(t *testing.T) {
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{})
	password := h.AddUser("alice")
	h.Write(h.Text(`respond /other "the other page"`))
	h.CaddyConfig.Ready = "/other"
	legacy := h.Login("alice", password, map[string]any{"refresh_token": true}).Must(t, http.StatusOK)
	config := registered(t, h)
	token := grant(t, h, config, "alice", password, "urn:matrix:client:api:*", "urn:matrix:client:device:LAPTOP")
	access, refresh := legacy.Text("access_token"), legacy.Text("refresh_token")

	for _, c := range []struct {
		name string
		// replace puts something in the place of the database; nil for nothing.
		replace func() error
	}{
		{"the file is not there", nil},
		{"an empty file is there", func() error { return os.WriteFile(h.Database(), nil, 0o600) }},
		{"a new database of another server is there", func() error {
			other := rig.NewCaddy(t, rig.CaddyConfig{ServerName: rig.ServerName, Synapse: h.Synapse.URL, Secret: "shared"})
			other.Start()
			other.Stop()
			content, err := os.ReadFile(other.Database())
			return cmp.Or(err, os.WriteFile(h.Database(), content, 0o600))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.Caddy.Stop()
			lost := filepath.Join(t.TempDir(), "lost")
			if err := os.Rename(h.Database(), lost); err != nil {
				t.Fatal(err)
			}
			if c.replace != nil {
				if err := c.replace(); err != nil {
					t.Fatal(err)
				}
			}
			before := filesOf(t, h.Dir)
			h.Caddy.Start()

			wait := func(what string, a rig.Answer) {
				t.Helper()
				if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || a.Text("errcode") != "M_UNKNOWN" {
					t.Errorf("%s: %d %v %v", what, a.Status, a.Header, a.Body)
				}
			}
			wait("the legacy refresh", h.Call(http.MethodPost, "/v3/refresh", "", map[string]string{"refresh_token": refresh}))
			wait("whoami", h.Call(http.MethodGet, "/v3/account/whoami", access, nil))
			wait("login", h.Login("alice", password, nil))
			wait("logout", h.Call(http.MethodPost, "/v3/logout", access, map[string]any{}))
			for path, body := range map[string]url.Values{
				"oauth2/token":  {"grant_type": {"refresh_token"}, "refresh_token": {token.RefreshToken}, "client_id": {config.ClientID}},
				"oauth2/revoke": {"token": {token.RefreshToken}, "client_id": {config.ClientID}},
			} {
				if status, text, header := postForm(t, h.URL+"/"+path, body); status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || !strings.Contains(text, `"temporarily_unavailable"`) {
					t.Errorf("%s: %d %v %s", path, status, header, text)
				}
			}
			if status, text, header := get(t, h.URL+"/account/"); status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || !strings.HasPrefix(header.Get("Content-Type"), "text/plain") {
				t.Errorf("a page: %d %v %s", status, header, text)
			}
			for _, address := range []string{h.Internal + "health", h.Internal + "nowhere"} {
				if status, text, header := get(t, address); status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
					t.Errorf("%s: %d %v %s", address, status, header, text)
				}
			}
			// Synapse never saw this token: it has to ask us, and must refuse nobody. Synapse may have seen the others.
			if a, err := rig.Call(h.Synapse.URL, http.MethodGet, "/v3/account/whoami", legacy.Text("refresh_token"), nil); err != nil || a.Status != http.StatusServiceUnavailable {
				t.Errorf("Synapse says %d %v %v", a.Status, a.Body, err)
			}
			// What needs no look on its way to Synapse goes on.
			if status, text, _ := get(t, h.URL+"/_matrix/federation/v1/version"); status != http.StatusNotFound || !strings.Contains(text, "M_UNRECOGNIZED") {
				t.Errorf("Synapse, which has no federation here, is not asked: %d %s", status, text)
			}
			_, err := h.Command("", "user", "list")
			if err == nil || !strings.Contains(err.Error(), h.Database()) || !strings.Contains(err.Error(), filepath.Join(h.Dir, "matrix_auth.key")) || !strings.Contains(err.Error(), "caddy matrix-auth forget") {
				t.Errorf("a command says %v", err)
			}
			if found, _ := examine(t, h.Caddy); found["server"].ID != "server/closed" {
				t.Errorf("the doctor finds %+v", found["server"])
			}
			if err := h.Reload(); err != nil {
				t.Errorf("a reload: %v", err)
			}
			wait("login after a reload", h.Login("alice", password, nil))
			if after := filesOf(t, h.Dir); !slices.Equal(before, slices.DeleteFunc(after, func(path string) bool { return strings.HasSuffix(path, ".sock") })) {
				t.Errorf("there was %v, and is %v", before, after)
			}

			if err := os.Rename(lost, h.Database()); err != nil {
				t.Fatal(err)
			}
			rig.Await(t, "our answer once the database is there", func() error { return rig.Answers(h.URL + "/_matrix/client/v3/login") })
			h.Call(http.MethodGet, "/v3/account/whoami", access, nil).Must(t, http.StatusOK)
			a := h.Call(http.MethodPost, "/v3/refresh", "", map[string]string{"refresh_token": refresh}).Must(t, http.StatusOK)
			access, refresh = a.Text("access_token"), a.Text("refresh_token")
			h.Call(http.MethodGet, "/v3/account/whoami", access, nil).Must(t, http.StatusOK)
			old := token
			if token, err = config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: old.RefreshToken}).Token(); err != nil {
				t.Fatal(err)
			}
			for _, access := range []string{old.AccessToken, token.AccessToken} {
				h.Call(http.MethodGet, "/v3/account/whoami", access, nil).Must(t, http.StatusOK)
			}
		})
	}
	log, err := os.ReadFile(h.LogFile())
	if err != nil || !strings.Contains(string(log), "closed, so that nobody is signed out") {
		t.Errorf("the log tells nothing of it, %v", err)
	}
}

// TestFirstStartIsKilled kills a server in its first start wherever only a part of its files is there: the next start is as
// good as the first.
func TestFirstStartIsKilled(t *testing.T) {
	for _, point := range []string{"key-prepared", "key-noted"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			trigger := filepath.Join(t.TempDir(), "fault")
			c := rig.NewCaddy(t, rig.CaddyConfig{
				ServerName: rig.ServerName, Synapse: "http://127.0.0.1:1", Secret: "shared", Tag: "faulthook",
				Env: []string{"MATRIX_AUTH_FAULT=" + point, "MATRIX_AUTH_FAULT_FILE=" + trigger},
			})
			if err := os.WriteFile(trigger, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := c.Run("", "run", "--config", c.File()); err == nil || !strings.Contains(err.Error(), "signal: killed") {
				t.Fatalf("it was not killed: %v\n%s", err, out)
			}
			if _, err := os.Lstat(filepath.Join(c.Dir, "matrix_auth.key")); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("it had made its key already: %v", err)
			}
			c.Start()
			if status, text, _ := get(t, c.Internal+"health"); status != http.StatusOK {
				t.Errorf("%d %s", status, text)
			}
			if _, err := os.Lstat(filepath.Join(c.Dir, "matrix_auth.key")); err != nil {
				t.Error(err)
			}
		})
	}
}

func get(t *testing.T, address string) (status int, text string, header http.Header) {
	t.Helper()
	response, err := http.Get(address)
	return readAnswer(t, response, err)
}

func postForm(t *testing.T, address string, form url.Values) (status int, text string, header http.Header) {
	t.Helper()
	response, err := http.PostForm(address, form)
	return readAnswer(t, response, err)
}

func readAnswer(t *testing.T, response *http.Response, err error) (status int, text string, header http.Header) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", response.Request.URL, err))
	}
	return response.StatusCode, string(body), response.Header
}
