package tests

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// document is one way to serve the well-known document.
type document struct {
	name string
	// serve answers in its place; body is the document, other an address of the same document at another host.
	serve func(w http.ResponseWriter, r *http.Request, body, other string)
	// faults are what the doctor says of it behind "well-known/".
	faults []string
	// stricter says who refuses a document that browsers read: byNio a client that the test asks, byRule
	// the specification alone.
	stricter string
}

const (
	byNio  = "matrix-nio"
	byRule = "the specification"
)

const allow = "Access-Control-Allow-Origin"

// with serves the document with headers: names and values in turn, the same name as often as it stands there.
func with(headers ...string) func(http.ResponseWriter, *http.Request, string, string) {
	return func(w http.ResponseWriter, _ *http.Request, body, _ string) {
		if !slices.Contains(headers, "Content-Type") {
			w.Header().Set("Content-Type", "application/json")
		}
		for i := 0; i < len(headers); i += 2 {
			w.Header()[http.CanonicalHeaderKey(headers[i])] = append(w.Header().Values(headers[i]), headers[i+1])
		}
		_, _ = io.WriteString(w, body)
	}
}

// text serves another text in the document's place, made of it, readable for all.
func text(change func(body string) string) func(http.ResponseWriter, *http.Request, string, string) {
	return func(w http.ResponseWriter, r *http.Request, body, other string) {
		with(allow, "*")(w, r, change(body), other)
	}
}

// redirect sends on, and serves the document where it arrives. first are the headers of the redirect,
// then those of the document.
func redirect(status int, target func(r *http.Request, other string) string, first, then []string) func(http.ResponseWriter, *http.Request, string, string) {
	return func(w http.ResponseWriter, r *http.Request, body, other string) {
		if r.URL.Path != wellKnownPath {
			with(then...)(w, r, body, other)
			return
		}
		for i := 0; i < len(first); i += 2 {
			w.Header().Add(first[i], first[i+1])
		}
		w.Header().Set("Location", target(r, other))
		w.WriteHeader(status)
	}
}

const wellKnownPath = "/.well-known/matrix/client"

func same(*http.Request, string) string            { return "/elsewhere.json" }
func another(_ *http.Request, other string) string { return other + "/elsewhere.json" }
func fixed(to string) func(*http.Request, string) string {
	return func(*http.Request, string) string { return to }
}

// echo answers with the page's own origin.
func echo(more ...string) func(http.ResponseWriter, *http.Request, string, string) {
	return func(w http.ResponseWriter, r *http.Request, body, other string) {
		headers := slices.Clone(more)
		if origin := r.Header.Get("Origin"); origin != "" {
			headers = append(headers, allow, origin)
		}
		with(headers...)(w, r, body, other)
	}
}

var star = []string{allow, "*"}

var documents = []document{
	{name: "as it should be", serve: with(allow, "*")},
	{name: "the header in small letters", serve: with("access-control-allow-origin", "*")},
	{name: "blanks around the star", serve: with(allow, " * ")},
	{name: "no header", serve: with(), faults: []string{"cors-missing"}},
	{name: "an empty header", serve: with(allow, ""), faults: []string{"cors-missing"}},
	{name: "the header twice", serve: with(allow, "*", allow, "*"), faults: []string{"cors-doubled"}},
	{name: "the header twice, once empty", serve: with(allow, "*", allow, ""), faults: []string{"cors-doubled"}},
	{name: "two stars in one header", serve: with(allow, "*, *"), faults: []string{"cors-doubled"}},
	{name: "a list of origins", serve: with(allow, "https://a.example, https://b.example"), faults: []string{"cors-doubled"}},
	{name: "another origin", serve: with(allow, "https://app.element.io"), faults: []string{"cors-one-origin"}},
	{name: "a pattern", serve: with(allow, "https://*.example.com"), faults: []string{"cors-one-origin"}},
	{name: "null", serve: with(allow, "null"), faults: []string{"cors-one-origin"}},
	{name: "the header only with an Origin", serve: func(w http.ResponseWriter, r *http.Request, body, other string) {
		if r.Header.Get("Origin") != "" {
			w.Header().Set(allow, "*")
		}
		with()(w, r, body, other)
	}},
	{name: "an echo", serve: echo()},
	{name: "an echo that varies", serve: echo("Vary", "Accept-Encoding, Origin", "Cache-Control", "max-age=3600")},
	{name: "an echo that is kept", serve: echo("Cache-Control", "public, max-age=3600"), faults: []string{"cors-cached"}},
	{name: "an echo that is not stored", serve: echo("Cache-Control", "no-store")},
	{name: "an echo without its scheme", serve: func(w http.ResponseWriter, r *http.Request, body, other string) {
		with(allow, strings.TrimPrefix(r.Header.Get("Origin"), "https://"))(w, r, body, other)
	}, faults: []string{"cors-one-origin"}},
	{name: "closed to other origins without CORS", serve: with(allow, "*", "Cross-Origin-Resource-Policy", "same-origin", "X-Content-Type-Options", "nosniff")},

	{name: "a redirect", serve: redirect(302, same, star, star)},
	{name: "a redirect for good", serve: redirect(308, same, star, star)},
	{name: "a redirect without the header", serve: redirect(301, same, nil, star), faults: []string{"cors-missing"}},
	{name: "a redirect to what lacks the header", serve: redirect(302, same, star, nil), faults: []string{"cors-missing"}},
	{name: "a redirect to another host", serve: redirect(302, another, star, star)},
	{name: "a redirect to another host, without the header", serve: redirect(302, another, nil, star), faults: []string{"cors-missing"}},
	{name: "a redirect to another host that echoes nobody", serve: func(w http.ResponseWriter, r *http.Request, body, other string) {
		redirect(307, another, star, []string{allow, r.Header.Get("Origin")})(w, r, body, other)
	}},
	{name: "a redirect to another host that lets the first page in", serve: redirect(302, another, star, []string{allow, "https://app.client.example.com"}), faults: []string{"cors-one-origin"}},
	{name: "a redirect to another host that lets null in", serve: redirect(302, another, star, []string{allow, "null"})},
	{name: "a redirect that lets null in", serve: redirect(302, same, star, []string{allow, "null"}), faults: []string{"cors-one-origin"}},
	{name: "a redirect to http", serve: redirect(302, fixed("http://plain.invalid/x.json"), star, star), faults: []string{"redirect-insecure"}},
	{name: "a redirect with a password", serve: redirect(302, func(_ *http.Request, other string) string {
		return strings.Replace(other, "https://", "https://user:secret@", 1) + "/elsewhere.json"
	}, star, star), faults: []string{"redirect-broken"}},
	{name: "a redirect to another scheme", serve: redirect(302, fixed("ftp://example.com/x"), star, star), faults: []string{"redirect-broken"}},
	{name: "a redirect to nowhere", serve: func(w http.ResponseWriter, r *http.Request, body, other string) {
		w.Header().Set(allow, "*")
		w.WriteHeader(http.StatusFound)
	}, faults: []string{"missing"}},
	{name: "a redirect to itself", serve: redirect(302, fixed(wellKnownPath), star, star), faults: []string{"redirect-endless"}},

	{name: "a byte order mark", serve: text(func(body string) string { return "\ufeff" + body }), faults: []string{"byte-order-mark"}, stricter: byNio},
	{name: "another type", serve: with(allow, "*", "Content-Type", "text/html"), faults: []string{"content-type"}, stricter: byRule},
	{name: "a comma at the end", serve: text(func(body string) string { return strings.TrimSuffix(body, "}") + ",}" }), faults: []string{"no-json"}},
	{name: "a comment", serve: text(func(body string) string { return "// ours\n" + body }), faults: []string{"no-json"}},
	{name: "single quotes", serve: text(func(body string) string { return strings.ReplaceAll(body, `"`, "'") }), faults: []string{"no-json"}},
	{name: "quotes of a word processor", serve: text(func(body string) string { return strings.ReplaceAll(body, `"`, "\u201d") }), faults: []string{"no-json"}},
	{name: "more behind it", serve: text(func(body string) string { return body + "{}" }), faults: []string{"no-json"}},
	{name: "blanks around it", serve: text(func(body string) string { return "\r\n\t " + body + "\r\n" })},
	{name: "a number too large", serve: text(func(body string) string { return strings.Replace(body, "{", `{"n":1e999,`, 1) })},
	{name: "bytes that are not UTF-8", serve: text(func(body string) string { return strings.Replace(body, "{", "{\"n\":\"\xff\",", 1) }), faults: []string{"no-utf-8"}, stricter: byNio},
	{name: "UTF-16", serve: text(func(body string) string { return "\xfe\xff\x00{\x00}" }), faults: []string{"no-json"}},
	{name: "a list", serve: text(func(body string) string { return "[" + body + "]" }), faults: []string{"no-json"}},
	{name: "null for a document", serve: text(func(string) string { return "null" }), faults: []string{"no-json"}},
	{name: "nothing", serve: text(func(string) string { return "" }), faults: []string{"no-json"}},
	{name: "a page of HTML", serve: func(w http.ResponseWriter, r *http.Request, _, other string) {
		with(allow, "*", "Content-Type", "text/html")(w, r, "<!doctype html><title>Welcome</title>", other)
	}, faults: []string{"no-json"}},
	{name: "not found", serve: func(w http.ResponseWriter, _ *http.Request, _, _ string) {
		w.Header().Set(allow, "*")
		http.NotFound(w, nil)
	}, faults: []string{"missing"}},
	{name: "a password", serve: func(w http.ResponseWriter, _ *http.Request, _, _ string) {
		w.Header().Set(allow, "*")
		w.Header().Set("WWW-Authenticate", `Basic realm="private"`)
		w.WriteHeader(http.StatusUnauthorized)
	}, faults: []string{"missing"}},
}

// TestWellKnownAsBrowsersReadIt has Chromium judge the documents, and holds the doctor to its verdicts
// (DISC-21, DISC-22).
func TestWellKnownAsBrowsersReadIt(t *testing.T) {
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><title>client</title><link rel="icon" href="data:,">`)
	}))
	defer site.Close()
	t.Setenv("CLIENT_SITE", site.Listener.Addr().String())

	var body atomic.Value
	body.Store(`{"m.homeserver":{"base_url":"http://127.0.0.1"}}`)
	// Each document has a host of its own for the browser, and all share one that the doctor asks.
	start := func(now func() document) (address string, s *httptest.Server) {
		second := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { now().serve(w, r, body.Load().(string), "") }))
		t.Cleanup(second.Close)
		s = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { now().serve(w, r, body.Load().(string), second.URL) }))
		t.Cleanup(s.Close)
		return s.URL, s
	}
	addresses := []string{}
	for _, d := range documents {
		address, _ := start(func() document { return d })
		addresses = append(addresses, address+wellKnownPath)
	}
	key := sha256.Sum256(site.Certificate().RawSubjectPublicKeyInfo)
	var verdicts map[string][]bool
	runClient(t, rig.Node(t), rig.Script(t, "wellknown_flow.mjs"), &verdicts, append([]string{base64.StdEncoding.EncodeToString(key[:])}, addresses...)...)

	// Who is stricter than browsers: a client on another platform.
	strict := []string{}
	for i, d := range documents {
		if d.stricter != "" || len(d.faults) == 0 {
			strict = append(strict, strings.TrimSuffix(addresses[i], wellKnownPath))
		}
	}
	var others map[string]bool
	runClient(t, rig.Cache(t, "nio", "bin", "python"), filepath.Join(rig.Tests(), "clients", "nio_wellknown.py"), &others, strict...)

	var row atomic.Int32
	address, s := start(func() document { return documents[row.Load()] })
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	c := rig.NewCaddy(t, rig.CaddyConfig{ServerName: strings.TrimPrefix(address, "https://"), Secret: "shared", Synapse: "http://127.0.0.1:1"})
	c.Start()
	body.Store(fmt.Sprintf(`{"m.homeserver":{"base_url":"%s/"}}`, c.URL)) // a slash at the end is well
	for i, d := range documents {
		t.Run(d.name, func(t *testing.T) {
			row.Store(int32(i))
			out, _ := c.Command("", "doctor", "--json", "--ca-file", authority) // Synapse is missing, so it is never content
			var all []finding
			if err := json.Unmarshal([]byte(out), &all); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			var found []string
			for _, f := range all {
				if fault, ok := strings.CutPrefix(f.ID, "well-known/"); ok {
					found = append(found, fault)
					if f.OK || f.What == "" || f.Where == "" || f.Change == "" || strings.Contains(f.What+f.Where+f.Change, "secret@") {
						t.Errorf("it says %+v", f)
					}
				} else if f.ID == "well-known" && len(d.faults) > 0 {
					t.Errorf("it says that all is well: %+v", f)
				}
			}
			if !slices.Equal(found, d.faults) {
				t.Errorf("it found %v, want %v\n%s", found, d.faults, out)
			}
			read := !slices.Contains(verdicts[addresses[i]], false)
			if want := len(d.faults) == 0 || d.stricter != ""; len(verdicts[addresses[i]]) != 2 || read != want {
				t.Errorf("Chromium says %v, and the doctor %v", verdicts[addresses[i]], d.faults)
			}
			if read, asked := others[strings.TrimSuffix(addresses[i], wellKnownPath)]; asked && read == (d.stricter == byNio) {
				t.Errorf("matrix-nio could read it: %v, and the doctor says %v", read, d.faults)
			}
		})
	}
}
