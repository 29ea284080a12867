package gateway

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// nextFunc answers as the homeserver.
type nextFunc func(http.ResponseWriter, *http.Request) error

func (f nextFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) error { return f(w, r) }

func replaceBy(text string) func(*Gateway, passage, []byte) ([]byte, error) {
	return func(*Gateway, passage, []byte) ([]byte, error) { return []byte(text), nil }
}

// TestChanges: a row says which answers are changed, by path, token and status, and nothing else is.
func TestChanges(t *testing.T) {
	g := &Gateway{changes: []change{
		{paths: []string{"/one"}, status: 200, revise: replaceBy(`"first"`)},
		{paths: []string{"/one", "/two"}, status: 200, revise: replaceBy(`"second"`)},
		{paths: []string{"/error"}, status: 200, revise: func(*Gateway, passage, []byte) ([]byte, error) {
			return nil, model.NewError(model.TemporarilyDown)
		}},
		{paths: []string{"/as-it-is"}, status: 200, revise: func(*Gateway, passage, []byte) ([]byte, error) { return nil, nil }},
		{token: true, status: 403, revise: replaceBy(`"third"`)},
	}}
	const said, asJSON = `"homeserver"`, "application/json"
	for _, c := range []struct {
		name, method, path, token string
		status                    int
		kind, coding              string
		want                      string
		wantStatus                int
	}{
		{name: "first row", path: "/one/x", status: 200, kind: asJSON, want: `"first"`},
		{name: "second row", path: "/two", status: 200, kind: "Application/JSON; charset=utf-8", want: `"second"`},
		{name: "another path", path: "/three", status: 200, kind: asJSON, want: said},
		{name: "another status", path: "/one", status: 201, kind: asJSON, want: said},
		{name: "no JSON", path: "/one", status: 200, kind: "text/plain", want: said},
		{name: "HEAD", method: http.MethodHead, path: "/one", status: 200, kind: asJSON, want: said},
		{name: "a token that a row needs", path: "/three", token: "t", status: 403, kind: asJSON, want: `"third"`},
		{name: "no token where a row needs one", path: "/three", status: 403, kind: asJSON, want: said},
		{name: "an error is the answer", path: "/error", status: 200, kind: asJSON, want: "M_UNKNOWN", wantStatus: 503},
		{name: "a row that lets it pass", path: "/as-it-is", status: 200, kind: asJSON, want: said},
		{name: "a coding that the row cannot read", path: "/one", status: 200, kind: asJSON, coding: "br", want: said},
	} {
		t.Run(c.name, func(t *testing.T) {
			method := c.method
			if method == "" {
				method = http.MethodGet
			}
			r := httptest.NewRequest(method, c.path, nil)
			if c.token != "" {
				r.Header.Set("Authorization", "Bearer "+c.token)
			}
			w := httptest.NewRecorder()
			err := g.Pass(w, r, nextFunc(func(w http.ResponseWriter, _ *http.Request) error {
				w.Header().Set("Content-Type", c.kind)
				if c.coding != "" {
					w.Header().Set("Content-Encoding", c.coding)
				}
				w.WriteHeader(c.status)
				_, err := w.Write([]byte(said))
				return err
			}))
			wantStatus := c.wantStatus
			if wantStatus == 0 {
				wantStatus = c.status
			}
			if err != nil || w.Code != wantStatus || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("got %d %q, %v; want %d %q", w.Code, w.Body, err, wantStatus, c.want)
			}
		})
	}
	t.Run("a row for other paths costs nothing", func(t *testing.T) {
		r := httptest.NewRequest(http.MethodGet, "/elsewhere", nil)
		r.Header.Set("Authorization", "Bearer t")
		var w http.ResponseWriter = httptest.NewRecorder()
		w.Header().Set("Content-Type", asJSON)
		var next Next = nextFunc(func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(http.StatusOK); return nil })
		if n := testing.AllocsPerRun(100, func() { _ = g.Pass(w, r, next) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// TestTableOfChanges: which answers of the homeserver are changed at all. A new row is meant to show here.
func TestTableOfChanges(t *testing.T) {
	if len(changes) != 2 {
		t.Fatalf("%d rows", len(changes))
	}
	if c := changes[0]; !slices.Equal(c.paths, capabilitiesPaths) || !c.token || c.status != http.StatusOK {
		t.Errorf("the capabilities are %+v", c)
	}
	if c := changes[1]; len(c.paths) != 0 || !c.token || c.status != http.StatusUnauthorized {
		t.Errorf("the refusal of tokens is %+v", c)
	}
}
