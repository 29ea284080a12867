package matrixauth

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const passedOn = http.StatusTeapot

// call is a request to make. Its zero value is GET /.
type call struct {
	method, path string
	// inside asks the listener for the homeserver and not the public site.
	inside bool
	host   string
	body   string
	header http.Header
	bearer string
	ip     string
}

// shows checks a status, and that the body holds a text.
func (a answer) shows(t testing.TB, status int, text string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.body, text) {
		t.Fatalf("got %d %s, want %d with %q", a.status, a.body, status, text)
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (h *house) do(c call) answer {
	h.t.Helper()
	base := h.site.URL
	if c.inside {
		base = h.inside.URL
	}
	if c.method == "" {
		c.method = http.MethodGet
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, c.method, base+c.path, strings.NewReader(c.body))
	h.must(err)
	for name, values := range c.header {
		r.Header[name] = values
	}
	r.Host = issuerHost
	if c.host != "" {
		r.Host = c.host
	}
	if c.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	if c.ip != "" {
		r.Header.Set("X-Test-IP", c.ip)
	}
	res, err := h.http.Do(r)
	if err != nil {
		h.t.Errorf("%s %s: %v", c.method, c.path, err)
		return answer{header: http.Header{}}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Errorf("%s %s: %v", c.method, c.path, err)
	}
	return answer{status: res.StatusCode, header: res.Header, body: string(body)}
}

// form asks an OAuth endpoint with a form.
func form(values ...string) string {
	v := url.Values{}
	for i := 0; i < len(values); i += 2 {
		v.Add(values[i], values[i+1])
	}
	return v.Encode()
}

var formType = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}

// document is the body of an answer.
type document map[string]any

func (a answer) document(t testing.TB) document {
	t.Helper()
	var d document
	if err := json.Unmarshal([]byte(a.body), &d); err != nil {
		t.Fatalf("status %d, body %q: %v", a.status, a.body, err)
	}
	return d
}

func (a answer) errcode() string {
	var d struct {
		Errcode string `json:"errcode"`
	}
	_ = json.Unmarshal([]byte(a.body), &d) // what is no document has no errcode
	return d.Errcode
}

// want checks status and errcode (none for "").
func (a answer) want(t testing.TB, status int, errcode string) {
	t.Helper()
	if a.status != status || a.errcode() != errcode {
		t.Fatalf("got %d %s, want %d %s", a.status, a.body, status, errcode)
	}
}
