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

// Tap listens to the calls to the homeserver. after runs when the homeserver has answered and before
// the caller learns of it.
type Tap struct {
	base  http.RoundTripper
	mu    sync.Mutex
	after func(op string)
	// refuse names the calls that the homeserver refuses for good, by operation.
	refuse string
}

func (p *Tap) Set(f func(op string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.after = f
}

func (p *Tap) RefuseAll(op string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = op
}

func (p *Tap) RoundTrip(r *http.Request) (*http.Response, error) {
	op := path.Base(r.URL.Path)
	p.mu.Lock()
	after, refuse := p.after, p.refuse
	p.mu.Unlock()
	if op == refuse {
		return &http.Response{
			StatusCode: http.StatusBadRequest, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
			Body: io.NopCloser(strings.NewReader(`{"errcode":"M_INVALID_PARAM","error":"No"}`)),
		}, errors.Join(r.Body.Close())
	}
	res, err := p.base.RoundTrip(r)
	if after != nil {
		after(op)
	}
	return res, err
}

func (h *House) WantDevices(localpart string, want ...string) {
	h.T.Helper()
	slices.Sort(want)
	if got := h.Fake.Devices(localpart); !slices.Equal(got, want) {
		h.T.Fatalf("the homeserver has devices %q of %s, want %q", got, localpart, want)
	}
}
