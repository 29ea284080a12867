package caddymodule

import (
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Handler answers the login and OAuth routes of a Matrix homeserver and passes every other request
// on. One handler of a configuration bears the settings; those of other sites join it.
type Handler struct {
	Settings

	app *App
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.matrix_auth", New: func() caddy.Module { return new(Handler) }}
}

// Provision checks the settings and joins the app's instance. What can be checked without opening anything is
// checked here, as "caddy validate" goes no further.
func (h *Handler) Provision(ctx caddy.Context) error {
	app, err := ctx.App("matrix_auth")
	if err != nil {
		return err
	}
	var ok bool
	if h.app, ok = app.(*App); !ok {
		return fmt.Errorf("the app matrix_auth is a %T", app)
	}
	if err := h.app.join(h.Settings); err != nil {
		return err
	}
	sites := sitesAbove(ctx)
	if sites == nil {
		return nil // Start checks what is left
	}
	if !h.app.configured && !laterSettings(sites) {
		return noSettings()
	}
	return h.app.checkPorts(sites)
}

// ServeHTTP answers what is ours.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	server := h.app.server.Load()
	if server == nil && h.app.settings.config.Concerns(r) {
		server = h.app.started(r.Context())
	}
	if server != nil {
		return server.ServeHTTP(w, r, next)
	}
	if h.app.settings.config.Unready(w, r) {
		return nil
	}
	return next.ServeHTTP(w, r)
}
