package caddymodule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// guess tries a password from an address that a client invents, through a proxy that appends the one that
// it saw.
func (h *house) guess(t *testing.T, invented, seen string) int {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"type": "m.login.password", "identifier": map[string]string{"type": "m.id.user", "user": "alice"}, "password": "guess",
	})
	must(t, err)
	r := request(t, http.MethodPost, "http://"+testHost+"/_matrix/client/v3/login", bytes.NewReader(body))
	r.Header.Set("X-Forwarded-For", invented+", "+seen)
	return h.send(h.site, r).status
}

// TestTrustedProxies: behind a proxy that appends, a client escapes the limits by inventing addresses,
// unless the parsing is strict. The server and the doctor say so (PW-12).
func TestTrustedProxies(t *testing.T) {
	const trusted = "servers {\n\t\ttrusted_proxies static 127.0.0.1/32 192.0.2.0/24\n\t\t%s\n\t}"
	limited := func(t *testing.T, strict string) (h *house, refused bool) {
		h = newHouse(t)
		h.bindPort()
		h.setup.Global += "\n" + fmt.Sprintf(trusted, strict)
		h.start(more("login_limit {\n\tnetwork 2 0.1\n\taccount 1000 1000\n}"))
		for n := range 8 {
			if h.guess(t, fmt.Sprintf("198.51.100.%d", n), "203.0.113.7, 192.0.2.9") == http.StatusTooManyRequests {
				refused = true
			}
		}
		return h, refused
	}
	findings := func(t *testing.T, h *house) (running, file string) {
		diagnosis, err := matrixauth.Examine.Do(t.Context(), h.operator(), matrixauth.Examination{})
		must(t, err)
		for _, f := range diagnosis.Findings {
			if f.Check == "trusted proxies" && !f.OK {
				running = f.Change
			}
		}
		inFile, err := checkTrustedProxies(h.config(), "Caddyfile")
		must(t, err)
		for _, f := range inFile {
			if !f.OK {
				file = f.Change
			}
		}
		return running, file
	}
	t.Run("strict", func(t *testing.T) {
		h, refused := limited(t, "trusted_proxies_strict")
		if !refused {
			t.Error("invented addresses escape the limit")
		}
		if running, file := findings(t, h); running != "" || file != "" {
			t.Errorf("the doctor says %q and %q", running, file)
		}
	})
	t.Run("not strict", func(t *testing.T) {
		h, refused := limited(t, "")
		if refused {
			t.Error("Caddy has become strict by itself: the advice can go")
		}
		running, file := findings(t, h)
		for _, said := range []string{running, file} {
			if !strings.Contains(said, "trusted_proxies_strict") {
				t.Errorf("the doctor says %q and %q", running, file)
			}
		}
		log, err := os.ReadFile(filepath.Join(h.dir, "caddy.log"))
		must(t, err)
		if n := strings.Count(string(log), "clients choose their own address"); n != 1 {
			t.Errorf("the log says so %d times", n)
		}
	})
}

func TestJudgeTrusted(t *testing.T) {
	for name, test := range map[string]struct {
		server string
		want   int
	}{
		"none":               {`{}`, 0},
		"trusted alone":      {`{"trusted_proxies":{"source":"static","ranges":["192.0.2.0/24"]}}`, 1},
		"unix sockets alone": {`{"trusted_proxies_unix":true}`, 1},
		"strict":             {`{"trusted_proxies":{"source":"static"},"trusted_proxies_strict":1}`, 0},
		"the header by name": {`{"trusted_proxies":{"source":"static"},"client_ip_headers":["CF-Connecting-IP","x-forwarded-for"]}`, 1},
		"another header":     {`{"trusted_proxies":{"source":"static"},"client_ip_headers":["CF-Connecting-IP"]}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			findings, err := checkTrustedProxies([]byte(`{"apps":{"http":{"servers":{"srv0":`+test.server+`}}}}`), "Caddyfile")
			must(t, err)
			bad := 0
			for _, f := range findings {
				if !f.OK {
					bad++
				}
			}
			if bad != test.want {
				t.Errorf("got %+v", findings)
			}
		})
	}
}

// TestPrefixTakenOffBehind: a handler behind ours that takes a prefix off does not open the homeserver's API
// for us (SYN-14).
func TestPrefixTakenOffBehind(t *testing.T) {
	h := newHouse(t)
	h.start(func(s *setup) {
		s.Rest = fmt.Sprintf(`handle_path /x/* {
		reverse_proxy %[1]s
	}
	route /y* {
		uri strip_prefix /y
		reverse_proxy %[1]s
	}
	reverse_proxy /_synapse/* %[1]s`, strings.TrimPrefix(s.Endpoint, "http://"))
	})
	for _, path := range []string{"/_synapse/mas", "/x/_synapse/mas", "/x//_synapse/mas", "/x/%5fsynapse%2Fmas", "/y/_synapse/mas", "/y_synapse/mas", "/y/../y/_synapse/mas"} {
		r := request(t, http.MethodGet, "http://"+testHost+path+"/query_user?localpart=alice", nil)
		r.Header.Set("Authorization", "Bearer "+testSecret) // even with the right one
		h.send(h.site, r).want(t, http.StatusNotFound, "M_UNRECOGNIZED")
	}
	// The prefix does lead there.
	h.get("/x/_synapse/admin/v1/server_version").want(t, http.StatusOK, "server_version")
	h.get("/y/_synapse/admin/v1/server_version").want(t, http.StatusOK, "server_version")
}

// TestWaysPast: the doctor and the log tell of proxies to the homeserver that requests reach past
// matrix_auth, and of no others.
func TestWaysPast(t *testing.T) {
	for name, test := range map[string]struct {
		rest, beside string
		want         []string
	}{
		"behind":                    {"reverse_proxy TO", "", nil},
		"in a handle behind":        {"handle /x/* {\n\treverse_proxy TO\n}", "", nil},
		"another site that joins":   {"", "http://b.test {\n\tmatrix_auth\n\treverse_proxy TO\n}", nil},
		"joins in a handle for all": {"", "http://b.test {\n\thandle {\n\t\tmatrix_auth\n\t\treverse_proxy TO\n\t}\n}", nil},
		"joins in a route":          {"", "http://b.test {\n\troute {\n\t\tmatrix_auth\n\t\treverse_proxy TO\n\t}\n}", nil},
		"both in a handle":          {"", "http://b.test {\n\thandle /_matrix/* {\n\t\tmatrix_auth\n\t\treverse_proxy TO\n\t}\n\trespond no\n}", nil},
		"federation":                {"", "http://b.test {\n\treverse_proxy /_matrix/federation/* TO\n}", nil},
		"to somebody else":          {"", "http://b.test {\n\treverse_proxy localhost:3000\n}", nil},
		"all but what matters":      {"", "http://b.test {\n\t@x not path /_synapse/* /_matrix/*\n\treverse_proxy @x TO\n}", nil},
		"a site without":            {"", "http://b.test {\n\treverse_proxy TO\n}", []string{"/_synapse/mas"}},
		"a path of a site without":  {"", "http://b.test {\n\treverse_proxy /_matrix/* TO\n}", []string{"/_matrix/client"}},
		"administration":            {"", "http://b.test {\n\treverse_proxy /_synapse/admin/* TO\n}", []string{"/_synapse/admin"}},
		"beside a handle":           {"", "http://b.test {\n\thandle /_matrix/client/* {\n\t\tmatrix_auth\n\t}\n\thandle {\n\t\treverse_proxy TO\n\t}\n}", []string{"/_synapse/mas"}},
		"in a route before":         {"", "http://b.test {\n\troute {\n\t\treverse_proxy /_synapse/* TO\n\t\tmatrix_auth\n\t\treverse_proxy TO\n\t}\n}", []string{"/_synapse/mas"}},
		"a prefix without":          {"", "http://b.test {\n\thandle_path /synapse/* {\n\t\treverse_proxy TO\n\t}\n}", []string{"/_synapse/mas"}},
		"in a named route":          {"", "&(synapse) {\n\treverse_proxy TO\n}\nhttp://b.test {\n\tinvoke synapse\n}", []string{"/_synapse/mas"}},
		"in a named route, guarded": {"", "&(synapse) {\n\tmatrix_auth\n\treverse_proxy TO\n}\nhttp://b.test {\n\tinvoke synapse\n}", nil},
		"two of them":               {"", "http://b.test {\n\treverse_proxy TO\n}\nhttp://c.test {\n\treverse_proxy TO\n}", []string{"b.test", "c.test"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			to := strings.TrimPrefix(h.setup.Endpoint, "http://")
			h.start(func(s *setup) {
				s.Rest, s.Beside = strings.ReplaceAll(test.rest, "TO", to), strings.ReplaceAll(test.beside, "TO", strings.Replace(to, "127.0.0.1", "localhost", 1))
			})
			diagnosis, err := matrixauth.Examine.Do(t.Context(), h.operator(), matrixauth.Examination{})
			must(t, err)
			var got []matrixauth.Finding
			for _, f := range diagnosis.Findings {
				if f.Check == "ways to synapse" && !f.OK {
					got = append(got, f)
				}
			}
			if len(got) != len(test.want) {
				t.Fatalf("got %+v, want %q", got, test.want)
			}
			for i, want := range test.want {
				if !strings.Contains(got[i].What+got[i].Where, want) {
					t.Errorf("got %+v, want %q", got[i], want)
				}
			}
		})
	}
}

// TestMatcherIsRefusedEverywhere: also in a file that is adapted in one go with others.
func TestMatcherIsRefusedEverywhere(t *testing.T) {
	for _, nested := range []string{"%s", "handle {\n%s\n}", "route {\n%s\n}", "handle_path /x/* {\n%s\n}", "route {\nhandle {\n%s\n}\n}"} {
		text := "example.com {\n" + fmt.Sprintf(nested, "matrix_auth /_matrix/* example.com https://example.com") + "\n}\n"
		_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
		line := 1 + strings.Count(text[:strings.Index(text, "matrix_auth")], "\n")
		if err == nil || !strings.Contains(err.Error(), "takes no matcher") || !strings.Contains(err.Error(), fmt.Sprintf("Caddyfile:%d", line)) {
			t.Errorf("%s\ngives %v", text, err)
		}
	}
}

// TestWithheld: no backend of any site sees the cookies of our pages, or a client's word on who the user is,
// over whatever protocol (NEW-13).
func TestWithheld(t *testing.T) {
	got := make(chan http.Header, 1)
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header }))
	defer backend.Close()
	h := newHouse(t)
	h.bindPort()
	h.setup.Global += "\nservers {\n\tprotocols h1 h2c\n}"
	h.start(func(s *setup) {
		s.Rest = "handle {\nreverse_proxy " + strings.TrimPrefix(backend.URL, "http://") + "\n}"
		s.Beside = "http://b.test {\n\tmatrix_auth\n\treverse_proxy " + strings.TrimPrefix(backend.URL, "http://") + "\n}"
	})
	h2c := &http.Transport{Protocols: new(http.Protocols), DialContext: h.site.Transport.(*http.Transport).DialContext}
	h2c.Protocols.SetUnencryptedHTTP2(true)
	defer h2c.CloseIdleConnections()
	for name, test := range map[string]struct {
		client  *http.Client
		headers http.Header
	}{
		"HTTP/1.1":  {h.site, nil},
		"HTTP/2":    {&http.Client{Transport: h2c, Timeout: time.Minute}, nil},
		"WebSocket": {h.site, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, site := range []string{testHost, "b.test"} {
				r := request(t, http.MethodGet, "http://"+site+"/app/x", nil)
				maps.Copy(r.Header, test.headers)
				r.Header["Cookie"] = []string{"theme=dark; __Host-matrix_auth=secret; lang=\"en\"", "matrix_auth_device=secret; __Secure-matrix_auth=secret"}
				r.Header["x-matrix-user-identifier"] = []string{"@alice:example.test"}
				r.Header["X_Matrix_User_Identifier"] = []string{"@alice:example.test"}
				h.send(test.client, r).want(t, http.StatusOK, "")
				var header http.Header
				select {
				case header = <-got:
				default:
					t.Fatal("somebody else answered")
				}
				for name, values := range header {
					if text := strings.Join(values, " "); strings.Contains(text, "secret") || strings.Contains(text, "@alice") {
						t.Errorf("%s: the backend sees %s: %s", site, name, text)
					}
				}
				if cookies := strings.Join(header["Cookie"], "; "); cookies != "theme=dark; lang=\"en\"" {
					t.Errorf("%s: of the other cookies there is %q", site, cookies)
				}
			}
		})
	}
}

// TestMediaStream: what is uploaded goes on while it comes, and not when it is complete, also while
// there is somebody to be stopped.
func TestMediaStream(t *testing.T) {
	began := make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadFull(r.Body, make([]byte, 5)); err == nil {
			close(began)
		}
		if rest, err := io.ReadAll(r.Body); err != nil || string(rest) != " last" {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	defer backend.Close()
	h := newHouse(t)
	h.start(func(s *setup) {
		s.Rest = "handle {\nreverse_proxy " + strings.TrimPrefix(backend.URL, "http://") + "\n}"
	})
	h.addUser("alice")
	_, err := matrixauth.LockUser.Do(t.Context(), h.operator(), matrixauth.Name{User: "alice"})
	must(t, err)
	body, write := io.Pipe()
	defer write.Close()
	go func() {
		_, _ = io.WriteString(write, "first")
		select {
		case <-began: // only now is there more
			_, _ = io.WriteString(write, " last")
		case <-time.After(time.Minute):
		}
		_ = write.Close()
	}()
	r := request(t, http.MethodPost, "http://"+testHost+"/_matrix/media/v3/upload", body)
	r.Header.Set("Content-Type", "image/png")
	r.Header.Set("Authorization", "Bearer somebody-else")
	if a := h.send(h.site, r); a.status != http.StatusOK || a.body != "" {
		t.Errorf("got %d %s", a.status, a.body)
	}
}
