package edge

import (
	"net/http"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Unready answers what came before the database was open.
type Unready struct {
	Issuer    Issuer
	Catalogue Catalogue
}

// Concerns reports whether a request of the site may be one of ours, or one that the gateway must check.
func (u Unready) Concerns(r *http.Request) bool {
	_, ours := u.wireOf(r)
	return ours
}

// wireOf returns the wire of a request that Concerns us; ours is false for any other.
func (u Unready) wireOf(r *http.Request) (wire web.Wire, ours bool) {
	if isChecked(r.URL.Path) || isHidden(r.URL) {
		return web.MatrixWire, true
	}
	wire, ours = u.Catalogue.wireOf(u.Issuer, web.Public, r.URL.Path)
	return wire, ours && (u.Issuer.Host == "" || u.Issuer.isAt(r.Host))
}

// Public answers a request of the site that Concerns us; it reports false for any other.
func (u Unready) Public(w http.ResponseWriter, r *http.Request) bool {
	wire, ours := u.wireOf(r)
	if !ours {
		withhold(r)
		return false
	}
	refuseUnready(w, wire)
	return true
}

// Internal answers every request of the homeserver.
func (u Unready) Internal(w http.ResponseWriter, r *http.Request) {
	wire, _ := u.Catalogue.wireOf(u.Issuer, web.Internal, r.URL.Path)
	refuseUnready(w, wire)
}

// unreadyRetry is what clients are told to wait for a server that has not opened its database: it may be
// there in a moment, or when somebody has mended the disk.
const unreadyRetry = 5 * time.Second

// refuseUnready is the answer of a server that has not opened its database yet. It is 503 whatever was asked:
// any 4xx to a refresh, and a 401 to anything, would cost clients their sessions and keys.
func refuseUnready(w http.ResponseWriter, wire web.Wire) {
	web.SetHeaders(w.Header(), wire)
	web.WriteError(w, wire, model.NewError(model.TemporarilyDown).WithRetry(unreadyRetry))
}
