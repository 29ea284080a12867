package matrixauth

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/oauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// closing is the answer while the database is not open.
func closing() error {
	return model.NewError(model.TemporarilyDown).WithRetry(time.Second)
}

// unreadyRetry is what clients are told to wait for a server that has not opened its database: it may be
// there in a moment, or when somebody has mended the disk.
const unreadyRetry = 5 * time.Second

// notOpen is the answer of a server that has not opened its database yet. It is 503 whatever was asked: any
// 4xx to a refresh, and a 401 to anything, would cost clients their sessions and keys.
func notOpen() error {
	return model.NewError(model.TemporarilyDown).WithRetry(unreadyRetry)
}

// Unready answers a request that came before the database was open, if it may be one of ours or one
// that the gateway must judge; it reports false for any other. Which paths are ours depends on the
// configuration, which c is. An issuer that is not known yet may be any host, with an empty path.
func (c Config) Unready(w http.ResponseWriter, r *http.Request) bool {
	base, host := "/", ""
	if u, err := url.Parse(c.base()); err == nil {
		base, host = u.Path, u.Hostname()
	}
	wire, ours := wireAtIssuer(base, r.URL.Path)
	ours = ours && (host == "" || isHost(r.Host, host))
	if isJudged(r.URL.Path) || isHidden(r.URL) {
		wire, ours = web.MatrixWire, true
	}
	if !ours {
		withhold(r)
		return false
	}
	refuseUnready(w, wire)
	return true
}

// UnreadyInside answers every request of the homeserver that came before the database was open.
func (c Config) UnreadyInside(w http.ResponseWriter, r *http.Request) {
	bases := []string{"/"}
	if u, err := url.Parse(c.base()); err == nil {
		bases = append(bases, u.Path)
	}
	at := func(path string) bool {
		return slices.ContainsFunc(bases, func(base string) bool { return r.URL.Path == base+path })
	}
	switch {
	case at(oauth.IntrospectPath):
		refuseUnready(w, web.OAuthWire)
	case at(discoveryPath):
		refuseUnready(w, web.OpenOAuthWire)
	default:
		refuseUnready(w, web.PlainWire)
	}
}

func refuseUnready(w http.ResponseWriter, wire web.Wire) {
	web.SetHeaders(w.Header(), wire)
	web.WriteError(w, wire, notOpen())
}
