package house

import (
	"errors"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
)

// Homeserver is a client of the homeserver of its own.
func (h *House) Homeserver() *homeserver.Client {
	return homeserver.New(homeserver.Config{Endpoint: h.Fake.URL, Secret: SharedKey, ServerName: ServerName, HTTP: h.Fake.HTTP()})
}

// Tap listens to the calls to the homeserver. before runs before a call, after when the homeserver has answered and
// before the caller learns of it, and read once the caller has read the answer.
type Tap struct {
	base                http.RoundTripper
	mu                  sync.Mutex
	before, after, read func(op string)
	// refuse names the calls that the homeserver refuses for good, by operation.
	refuse string
}

// Set sets what runs after each call, by the name of the operation; nil for nothing.
func (p *Tap) Set(f func(op string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.after = f
}

// Watch has functions run around each call, in place of those of Set. What is nil is not run.
func (p *Tap) Watch(before, after, read func(op string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before, p.after, p.read = before, after, read
}

// body tells that an answer was read.
type body struct {
	io.ReadCloser
	read func()
}

// Close tells, and closes.
func (b body) Close() error {
	b.read()
	return b.ReadCloser.Close()
}

// RefuseAll has the homeserver refuse an operation for good from now on; none if op is empty.
func (p *Tap) RefuseAll(op string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = op
}

// RoundTrip makes a call and tells of it.
func (p *Tap) RoundTrip(r *http.Request) (*http.Response, error) {
	op := path.Base(r.URL.Path)
	p.mu.Lock()
	before, after, read, refuse := p.before, p.after, p.read, p.refuse
	p.mu.Unlock()
	if op == refuse {
		return &http.Response{
			StatusCode: http.StatusBadRequest, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
			Body: io.NopCloser(strings.NewReader(`{"errcode":"M_INVALID_PARAM","error":"No"}`)),
		}, errors.Join(r.Body.Close())
	}
	if before != nil {
		before(op)
	}
	res, err := p.base.RoundTrip(r)
	if after != nil {
		after(op)
	}
	if gone := r.Context().Err(); gone != nil && err == nil { // whether the answer was quicker is not left to chance
		return nil, errors.Join(gone, res.Body.Close())
	}
	if read != nil && err == nil {
		res.Body = body{res.Body, func() { read(op) }}
	}
	return res, err
}

// WantDevices checks which devices the homeserver has of a user.
func (h *House) WantDevices(localpart string, want ...string) {
	h.T.Helper()
	slices.Sort(want)
	if got := h.Fake.Devices(localpart); !slices.Equal(got, want) {
		h.T.Fatalf("the homeserver has devices %q of %s, want %q", got, localpart, want)
	}
}
