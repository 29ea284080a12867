package page

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// newPages makes pages at the issuer of the tests.
func newPages(t testing.TB, c Config) *Pages {
	t.Helper()
	p, err := tryPages(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func tryPages(c Config) (*Pages, error) {
	c.Issuer = &url.URL{Scheme: "https", Host: "matrix.example.com", Path: "/"}
	c.Cookie = web.NewBrowserCookie(c.Issuer)
	c.Now = func() time.Time { return now }
	return New(c)
}

func render(t testing.TB, p *Pages, r *http.Request, content Page) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	web.SetHeaders(w.Header(), web.PageWire)
	if err := p.Render(w, r, http.StatusOK, content); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestErrorPages: every code is a page in every language, with the wire's status, and nothing of the
// cause or of the request in it (HTTP-16).
func TestErrorPages(t *testing.T) {
	p := newPages(t, Config{Name: "Example"})
	for _, code := range model.Codes {
		for _, lang := range p.Languages() {
			err := model.Errorf(code, "the text").WithCause(errors.New("the cause"))
			r := httptest.NewRequest(http.MethodGet, "/the-path?the-query", nil)
			r.Header.Set("Accept-Language", lang)
			w := httptest.NewRecorder()
			p.Error(w, r, err)
			body := w.Body.String()
			if w.Code != web.StatusOf(web.PageWire, err) || w.Code < 400 || w.Header().Get("Content-Language") != lang {
				t.Errorf("%s in %s: %d %v", code, lang, w.Code, w.Header())
			}
			if !strings.Contains(body, "<h1>") || strings.Contains(body, "<h1></h1>") || regexp.MustCompile("the-(parameter|path|query)|the (text|cause)").MatchString(body) {
				t.Errorf("%s in %s shows:\n%s", code, lang, body)
			}
			if w.Header().Get("Set-Cookie") != "" {
				t.Errorf("%s sets a cookie for no form", code)
			}
		}
	}
	w := httptest.NewRecorder()
	p.Error(w, httptest.NewRequest(http.MethodGet, "/", nil), model.NewError(model.RateLimited).WithRetry(4*time.Minute))
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "240" || !strings.Contains(w.Body.String(), "Try again in 4 minutes.") {
		t.Errorf("got %d %v\n%s", w.Code, w.Header(), w.Body)
	}
}

// TestFormPost: the page's one script is allowed by its hash, and nothing else is (HTTP-4).
func TestFormPost(t *testing.T) {
	p := newPages(t, Config{})
	fields := []Field{{"code", `"><script>alert(1)</script>`}, {"state", "a&b"}}
	w := render(t, p, httptest.NewRequest(http.MethodGet, "/", nil), FormPost{Action: "https://app.example/cb?a=b", Fields: fields})
	body := w.Body.String()
	scripts := regexp.MustCompile(`(?s)<script>(.*?)</script>`).FindAllStringSubmatch(body, -1)
	if len(scripts) != 1 {
		t.Fatalf("the page has %d scripts:\n%s", len(scripts), body)
	}
	sum := sha256.Sum256([]byte(scripts[0][1]))
	if policy := w.Header().Get("Content-Security-Policy"); !strings.HasSuffix(policy, "script-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Errorf("the policy is %q", policy)
	}
	if !strings.Contains(body, `action="https://app.example/cb?a=b"`) || !strings.Contains(body, `value="a&amp;b"`) || strings.Contains(body, "csrf") {
		t.Errorf("the form is\n%s", body)
	}
	for _, address := range []string{"javascript:alert(1)", "data:text/html,x"} {
		if body := render(t, p, httptest.NewRequest(http.MethodGet, "/", nil), FormPost{Action: address}).Body.String(); strings.Contains(body, address) {
			t.Errorf("a form goes to %s", address)
		}
	}
}

// TestReturnLink: an app's own scheme may be followed, and one that runs in the page may not.
func TestReturnLink(t *testing.T) {
	p := newPages(t, Config{})
	for address, want := range map[string]string{
		"com.example.app:/cb?code=a&state=b": `href="com.example.app:/cb?code=a&amp;state=b"`,
		"https://app.example/cb":             `href="https://app.example/cb"`,
		"javascript:alert(1)":                `href="#"`,
		"JavaScript:alert(1)":                `href="#"`,
		"data:text/html,x":                   `href="#"`,
		"blob:https://x/y":                   `href="#"`,
		" javascript:alert(1)":               `href="#"`,
		"/relative":                          `href="#"`,
		`https://a.example/"onclick="x`:      `href="https://a.example/%22onclick=%22x"`,
	} {
		body := render(t, p, httptest.NewRequest(http.MethodGet, "/", nil), Return{URL: address, Destination: "somewhere"}).Body.String()
		if !strings.Contains(body, want) {
			t.Errorf("%s: no %s in\n%s", address, want, body)
		}
	}
}

// TestOwnFolder: files of an operator replace ours one by one.
func TestOwnFolder(t *testing.T) {
	write := func(files map[string]string) string {
		dir := t.TempDir()
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	t.Run("templates, texts and the stylesheet", func(t *testing.T) {
		p := newPages(t, Config{Folder: write(map[string]string{
			"signed_out.html": `{{define "title"}}x{{end}}{{define "content"}}<h1>Farewell from {{.Name}}</h1>{{end}}`,
			"style.css":       "body { color: red }", "en.json": `{"login.title": "Come in"}`, "notes.txt": "ignored",
		}), Name: "Here"})
		if body := render(t, p, httptest.NewRequest(http.MethodGet, "/", nil), SignedOut{}).Body.String(); !strings.Contains(body, "Farewell from Here") {
			t.Errorf("the template is not used:\n%s", body)
		}
		if body := render(t, p, httptest.NewRequest(http.MethodGet, "/", nil), Login{}).Body.String(); !strings.Contains(body, "<h1>Come in</h1>") {
			t.Errorf("the text is not used:\n%s", body)
		}
		w := httptest.NewRecorder()
		if err := p.Routes()[0].Handlers[http.MethodGet](w, nil); err != nil || !strings.HasPrefix(w.Body.String(), ":root{--accent:#0f6e63;") || !strings.HasSuffix(w.Body.String(), "body { color: red }") {
			t.Errorf("the stylesheet is %s, %v", w.Body, err)
		}
	})
	for name, files := range map[string]map[string]string{
		"a template that does not parse":   {"login.html": `{{define "content"}}{{if}}{{end}}`},
		"a template without content":       {"login.html": `<p>Hello</p>`},
		"a field that is not there":        {"account.html": `{{define "title"}}x{{end}}{{define "content"}}{{.Page.Nothing}}{{end}}`},
		"a field wrong in one branch only": {"login.html": `{{define "title"}}x{{end}}{{define "content"}}{{if .Page.Create}}{{.Page.Nothing}}{{end}}{{end}}`},
		"a field wrong in one language":    {"login.html": `{{define "title"}}x{{end}}{{define "content"}}{{if eq .Lang "de"}}{{.Page.Nothing}}{{end}}{{end}}`},
		"a layout wrong in one language":   {"layout.html": `{{if eq .Lang "de"}}{{.Nothing}}{{end}}{{template "title" .}}{{template "content" .}}`},
		"a name that nobody reads":         {"signin.html": ""},
		"a second stylesheet":              {"theme.css": ""},
	} {
		if _, err := tryPages(Config{Folder: write(files)}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, c := range map[string]Config{
		"a folder that is not there": {Folder: filepath.Join(t.TempDir(), "nowhere")}, "a folder that is a file": {Folder: "page.go"},
		"a logo that is not there": {Logo: "nowhere.svg"}, "a logo that is not a picture": {Logo: "page.go"}, "no colour": {Accent: "green"},
	} {
		if _, err := tryPages(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestTemplateData holds what operators' templates rely upon: those of testdata/own are of an earlier version, which
// made the addresses of forms themselves, and give the same pages.
func TestTemplateData(t *testing.T) {
	p, own := newPages(t, Config{}), newPages(t, Config{Folder: filepath.Join("testdata", "own")})
	w := httptest.NewRecorder()
	p.Cookie.Ensure(w, httptest.NewRequest(http.MethodGet, "/", nil))
	compared := 0
	for _, sample := range append(Samples(now), Login{Goal: Goal{Action: "org.matrix.device_view"}}) {
		if _, ok := sample.(formPage); !ok {
			continue
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.AddCookie(w.Result().Cookies()[0])
		if want, got := render(t, own, r, sample).Body.String(), render(t, p, r, sample).Body.String(); got != want {
			t.Errorf("%#v is\n%s\nand was\n%s", sample, got, want)
		}
		compared++
	}
	if compared < 5 {
		t.Errorf("%d pages were compared", compared)
	}
}

// TestEveryTemplateHasASample makes sure that no template of ours is left out: the samples are the list of them.
func TestEveryTemplateHasASample(t *testing.T) {
	files, err := embedded.ReadDir("templates")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(file.Name(), ".html"); name != layout && !slices.Contains(parts, name) && !slices.Contains(names, name) {
			t.Errorf("%s has no sample", file.Name())
		}
	}
}

// TestAssets: what pages refer to is there, may be kept for good, and changes its name with its content.
func TestAssets(t *testing.T) {
	logo := filepath.Join(t.TempDir(), "logo.SVG")
	if err := os.WriteFile(logo, []byte("<svg/>"), 0o600); err != nil {
		t.Fatal(err)
	}
	plain, branded := newPages(t, Config{Accent: "ffffff"}), newPages(t, Config{Logo: logo, Accent: "000000"})
	if plain.style == branded.style {
		t.Error("two stylesheets have one name")
	}
	for _, p := range []*Pages{plain, branded} {
		body := render(t, p, httptest.NewRequest(http.MethodGet, "/", nil), SignedOut{}).Body.String()
		for _, route := range p.Routes() {
			address := p.Issuer.Path + route.Path
			if !strings.Contains(body, `"`+address+`"`) {
				t.Errorf("no page refers to %s", address)
			}
			w := httptest.NewRecorder()
			web.SetHeaders(w.Header(), web.PageWire)
			if err := route.Handlers[http.MethodGet](w, nil); err != nil || w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" {
				t.Errorf("%s: %d %v, %v", address, w.Code, w.Header(), err)
			}
			if policy := w.Header().Get("Content-Security-Policy"); strings.HasSuffix(address, ".svg") && !strings.Contains(policy, "sandbox") {
				t.Errorf("%s may do what pages may: %s", address, policy)
			}
		}
	}
}
