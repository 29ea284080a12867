package tests

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// shortLife is for tokens that expire while a test looks.
const shortLife = "access_token_lifetime 2s"

// droppingNetwork stands between clients and Caddy, and loses the first request with each refresh token.
func droppingNetwork(t *testing.T, target string) *httptest.Server {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	var mu sync.Mutex
	lost := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/refresh") {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			first := !lost[string(body)]
			lost[string(body)] = true
			mu.Unlock()
			if first {
				panic(http.ErrAbortHandler) // the connection breaks
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

// TestLostRefreshKeepsTheSession has matrix-js-sdk lose a refresh on its legacy path (SOFT-2 to SOFT-5).
func TestLostRefreshKeepsTheSession(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			h := rig.StartHomeserver(t, version, rig.CaddyConfig{Options: shortLife})
			password := h.AddUser("alice")
			for _, sdk := range []string{"matrix-js-sdk", "matrix-js-sdk-41"} {
				t.Run(sdk, func(t *testing.T) {
					runChecks(t, "expired_flow.mjs", h.URL, droppingNetwork(t, h.URL).URL, password, sdk)
				})
			}
		})
	}
}

// plain undoes the coding of an answer.
func plain(t *testing.T, response *http.Response) (body []byte) {
	t.Helper()
	var from io.Reader = response.Body
	var err error
	switch coding := response.Header.Get("Content-Encoding"); coding {
	case "":
	case "gzip":
		from, err = gzip.NewReader(from)
	case "zstd":
		from, err = zstd.NewReader(from)
	default:
		t.Fatalf("the coding is %s", coding)
	}
	if err == nil {
		body, err = io.ReadAll(from)
	}
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestRefusalsInEveryCoding has Synapse, and Caddy in front of and behind the gateway, compress what they
// can, and Caddy answer a refusal by routes of its own (SOFT-2).
func TestRefusalsInEveryCoding(t *testing.T) {
	const encode = "encode zstd gzip {\n\t\tminimum_length 1\n\t}"
	const handled = `reverse_proxy %[1]s {
		@refused status 401
		handle_response @refused {
			header X-Handled yes
			copy_response
		}
	}`
	for name, caddyfile := range map[string]func(c *rig.Caddy) string{
		"synapse":          func(c *rig.Caddy) string { return c.Text("") },
		"encode_before_us": func(c *rig.Caddy) string { return c.Text(encode) },
		"encode_behind_us": func(c *rig.Caddy) string {
			return strings.Replace(c.Text(encode), "{\n", "{\n\torder encode after matrix_auth\n", 1)
		},
		"handle_response": func(c *rig.Caddy) string {
			return strings.Replace(c.Text(encode), "reverse_proxy "+c.Synapse, fmt.Sprintf(handled, c.Synapse), 1)
		},
		"a_proxy_that_flushes": func(c *rig.Caddy) string {
			return strings.Replace(c.Text(""), "reverse_proxy "+c.Synapse, "reverse_proxy "+c.Synapse+" {\n\t\tflush_interval -1\n\t}", 1)
		},
	} {
		for _, version := range rig.Versions {
			if name != "synapse" && version != rig.Newest {
				continue
			}
			t.Run(name+"_"+version, func(t *testing.T) {
				c := rig.NewCaddy(t, rig.CaddyConfig{ServerName: rig.ServerName, Secret: "shared", Options: shortLife})
				s := rig.NewSynapse(t, rig.SynapseConfig{Version: version, ServerName: rig.ServerName, Endpoint: c.Internal, Secret: "shared", PublicURL: c.URL, Compress: true})
				c.CaddyConfig.Synapse = s.URL
				c.Write(caddyfile(c))
				s.Start()
				c.Start()
				h := rig.Join(t, c, s)
				login := h.Login("alice", h.AddUser("alice"), map[string]any{"refresh_token": true}).Must(t, http.StatusOK)
				token, codings := login.Text("access_token"), map[string]bool{}
				rig.Await(t, "the token's end", func() error {
					if answer := h.Call(http.MethodGet, "/v3/account/whoami", token, nil); answer.Status != http.StatusUnauthorized {
						return fmt.Errorf("status %d", answer.Status)
					}
					return nil
				})
				for _, accept := range []string{"identity", "gzip", "zstd", "zstd, gzip"} {
					for _, path := range []string{"/_matrix/client/v3/account/whoami", "/_matrix/media/v3/config", "/_synapse/admin/v1/rooms"} {
						request, err := http.NewRequest(http.MethodGet, h.URL+path, nil)
						if err != nil {
							t.Fatal(err)
						}
						request.Header.Set("Authorization", "Bearer "+token)
						request.Header.Set("Accept-Encoding", accept)
						response, err := http.DefaultClient.Do(request)
						if err != nil {
							t.Fatal(err)
						}
						var document struct {
							Errcode string
							Soft    bool `json:"soft_logout"`
						}
						body := plain(t, response)
						if err := json.Unmarshal(body, &document); err != nil {
							t.Fatalf("%s: %v: %q", path, err, body)
						}
						if response.StatusCode != http.StatusUnauthorized || document.Errcode != "M_UNKNOWN_TOKEN" || !document.Soft {
							t.Errorf("%s with %s: %s %s", path, accept, response.Status, body)
						}
						if name == "handle_response" && response.Header.Get("X-Handled") != "yes" {
							t.Error("Caddy's own routes were passed over")
						}
						codings[response.Header.Get("Content-Encoding")] = true
						if err := response.Body.Close(); err != nil {
							t.Error(err)
						}
					}
				}
				if name == "encode_before_us" && !(codings["gzip"] && codings["zstd"]) {
					t.Errorf("the codings were %v", codings)
				}
			})
		}
	}
}

// TestMadClient lets matrix-nio sync with a token that is dead, as it does for ever, and counts (SOFT-10).
func TestMadClient(t *testing.T) {
	const limit, told = 300, 20
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{})
	password := h.AddUser("alice")
	login := h.Login("alice", password, map[string]any{"device_id": "NIO"}).Must(t, http.StatusOK)
	other := h.Login("alice", password, map[string]any{"device_id": "OTHER"}).Must(t, http.StatusOK).Text("access_token")
	token := login.Text("access_token")
	nio := func(t *testing.T) {
		var saw struct {
			Statuses map[string]int
			Waits    []int
			After    string `json:"retry_after"`
			More     int
		}
		runClient(t, rig.Cache(t, "nio", "bin", "python"), filepath.Join(rig.Tests(), "clients", "nio_mad.py"), &saw, h.URL, "@alice:"+rig.ServerName, token, fmt.Sprint(limit))
		// A token is refused once more every half a minute, and the machine may be slow.
		if refused := saw.Statuses["401"]; refused < told || refused > told+4 || saw.Statuses["429"] != 1 || len(saw.Statuses) != 2 || saw.More != 0 ||
			len(saw.Waits) != 1 || saw.Waits[0] < 1 || saw.Waits[0] > 30_000 || saw.After == "" {
			t.Errorf("it saw %+v", saw)
		}
		h.Call(http.MethodGet, "/v3/account/whoami", other, nil).Must(t, http.StatusOK)
	}
	lines := func(since int, holding ...string) (found []string) {
		for line := range strings.Lines(read(t, h.LogFile())[since:]) {
			holds := strings.Contains(line, "matrix_auth")
			for _, text := range holding {
				holds = holds && strings.Contains(line, text)
			}
			if holds {
				found = append(found, line)
			}
		}
		return found
	}
	h.MustCommand("", "session", "kill", "--user", "alice", "--yes")
	other = h.Login("alice", password, map[string]any{"device_id": "OTHER"}).Must(t, http.StatusOK).Text("access_token")

	t.Run("refused_by_us", func(t *testing.T) {
		mark := len(read(t, h.LogFile()))
		nio(t)
		if found := lines(mark, `"device_id":"NIO"`, `"user":"@alice:example.test"`); len(found) != 2 {
			t.Errorf("%d lines:\n%s", len(found), strings.Join(found, ""))
		}
	})
	t.Run("the_rest_is_told_in_the_end", func(t *testing.T) {
		mark := len(read(t, h.LogFile()))
		h.Caddy.Stop()
		if found := lines(mark, `"device_id":"NIO"`, "went on with a refused token", `"refused":`, `"told_to_wait":`); len(found) != 1 {
			t.Errorf("%d lines:\n%s", len(found), read(t, h.LogFile())[mark:])
		}
		h.Caddy.Start()
	})
	// Now nobody remembers the session, and Synapse refuses the token.
	t.Run("refused_by_Synapse", func(t *testing.T) {
		mark, synapse := len(read(t, h.LogFile())), filepath.Join(h.Synapse.Dir, "synapse.log")
		before := strings.Count(read(t, synapse), "Token is not active")
		nio(t)
		if asked := strings.Count(read(t, synapse), "Token is not active") - before; asked < told || asked > told+4 {
			t.Errorf("Synapse was asked %d times", asked)
		}
		if found := lines(mark, "the homeserver refused a token", "token_hash"); len(found) != 1 {
			t.Errorf("%d lines:\n%s", len(found), strings.Join(found, ""))
		}
		if found := lines(mark, `"route":"gateway"`); len(found) != 1 {
			t.Errorf("%d lines:\n%s", len(found), strings.Join(found, ""))
		}
	})
	t.Run("a_bridge_is_never_told_to_wait", func(t *testing.T) {
		for range 3 * told {
			h.Call(http.MethodGet, "/v3/account/whoami", "as_token-that-nobody-knows-yet", nil).Must(t, http.StatusUnauthorized)
		}
		h.Call(http.MethodGet, "/v3/account/whoami", rig.BridgeToken, nil).Must(t, http.StatusOK)
	})
}

// TestDeviceRenamed names a device at Synapse as clients do.
func TestDeviceRenamed(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			h := rig.StartHomeserver(t, version, rig.CaddyConfig{})
			password := h.AddUser("alice")
			token := h.Login("alice", password, map[string]any{"device_id": "PHONE", "initial_device_display_name": "Element"}).Must(t, http.StatusOK).Text("access_token")
			h.Call(http.MethodPut, "/v3/devices/PHONE", token, map[string]string{"display_name": "Alice's phone"}).Must(t, http.StatusOK)
			if list := h.MustCommand("", "session", "list", "alice"); !strings.Contains(list, "Alice's phone") {
				t.Errorf("the list is\n%s", list)
			}
			h.Call(http.MethodPut, "/v3/devices/PHONE", token, map[string]string{"display_name": strings.Repeat("x", 101)}).Must(t, http.StatusBadRequest)
			h.Call(http.MethodPut, "/v3/devices/NOWHERE", token, map[string]string{"display_name": "Never"}).Must(t, http.StatusNotFound)
			// Synapse leaves it its name at the next login, and so do we.
			again := h.Login("alice", password, map[string]any{"device_id": "PHONE", "initial_device_display_name": "Element"}).Must(t, http.StatusOK).Text("access_token")
			if device := h.Call(http.MethodGet, "/v3/devices/PHONE", again, nil).Must(t, http.StatusOK); device.Text("display_name") != "Alice's phone" {
				t.Errorf("Synapse says %v", device.Body)
			}
			if list := h.MustCommand("", "session", "list", "alice"); !strings.Contains(list, "Alice's phone") || strings.Contains(list, "Never") {
				t.Errorf("the list is\n%s", list)
			}
		})
	}
}
