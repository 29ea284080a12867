package house

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// PassedOn is the status of what went on to the next handler, which nothing of ours uses.
const PassedOn = http.StatusTeapot

// Call is a request to make. Its zero value is GET /.
type Call struct {
	Method, Path string
	// Inside asks the listener for the homeserver and not the public site.
	Inside bool
	Host   string
	Body   string
	Header http.Header
	Bearer string
	IP     string
}

// WantStatus checks a status alone.
func (a Answer) WantStatus(t testing.TB, status int) {
	t.Helper()
	if a.Status != status {
		t.Fatalf("got %d %s, want %d", a.Status, a.Body, status)
	}
}

// Shows checks a status, and that the body holds a text, which must not be empty.
func (a Answer) Shows(t testing.TB, status int, text string) {
	t.Helper()
	if text == "" {
		t.Fatal("every body holds an empty text; want a status alone by WantStatus")
	}
	if a.Status != status || !strings.Contains(a.Body, text) {
		t.Fatalf("got %d %s, want %d with %q", a.Status, a.Body, status, text)
	}
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Do makes a request. One that fails on the way fails the test, and gives an empty answer.
func (h *House) Do(c Call) Answer {
	h.T.Helper()
	base := h.Site.URL
	if c.Inside {
		base = h.inside.URL
	}
	if c.Method == "" {
		c.Method = http.MethodGet
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, c.Method, base+c.Path, strings.NewReader(c.Body))
	h.Must(err)
	for name, values := range c.Header {
		r.Header[name] = values
	}
	r.Host = IssuerHost
	if c.Host != "" {
		r.Host = c.Host
	}
	if c.Bearer != "" {
		r.Header.Set("Authorization", "Bearer "+c.Bearer)
	}
	if c.IP != "" {
		r.Header.Set("X-Test-IP", c.IP)
	}
	res, err := h.Client.Do(r)
	if err != nil {
		h.T.Errorf("%s %s: %v", c.Method, c.Path, err)
		return Answer{Header: http.Header{}}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		h.T.Errorf("%s %s: %v", c.Method, c.Path, err)
	}
	return Answer{Status: res.StatusCode, Header: res.Header, Body: string(body)}
}

// Form asks an OAuth endpoint with a form.
func Form(values ...string) string {
	v := url.Values{}
	for i := 0; i < len(values); i += 2 {
		v.Add(values[i], values[i+1])
	}
	return v.Encode()
}

// FormType is the header of a form.
var FormType = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}

// Document is the body of an answer.
type Document map[string]any

// Document returns the body of an answer, which must be an object of JSON.
func (a Answer) Document(t testing.TB) Document {
	t.Helper()
	var d Document
	if err := json.Unmarshal([]byte(a.Body), &d); err != nil {
		t.Fatalf("status %d, body %q: %v", a.Status, a.Body, err)
	}
	return d
}

// Errcode returns the errcode of an answer; empty if it has none.
func (a Answer) Errcode() string {
	var d struct {
		Errcode string `json:"errcode"`
	}
	_ = json.Unmarshal([]byte(a.Body), &d) // what is not a document has no errcode
	return d.Errcode
}

// Want checks status and errcode (none for "").
func (a Answer) Want(t testing.TB, status int, errcode string) {
	t.Helper()
	if a.Status != status || a.Errcode() != errcode {
		t.Fatalf("got %d %s, want %d %s", a.Status, a.Body, status, errcode)
	}
}

// Unready returns what a request of the issuer's host is answered before the database is open, and whether it is answered at all.
func Unready(c matrixauth.Config, path string) (status int, ours bool) {
	w := httptest.NewRecorder()
	ours = c.Unready(w, httptest.NewRequest(http.MethodGet, "https://"+IssuerHost+path, nil))
	return w.Code, ours
}
