package caddymodule

import (
	"encoding/json"
	"net/http"
	"sync"

	"github.com/caddyserver/caddy/v2"
)

// admin tells commands, through Caddy's admin endpoint, which databases this process has. It tells
// nothing else and changes nothing.
type admin struct{}

// instance is what a command needs to find a running server.
type instance struct {
	ServerName string `json:"server_name"`
	Issuer     string `json:"issuer"`
	Database   string `json:"database"`
	// Waiting is why the database is not open yet; empty if it is.
	Waiting string `json:"waiting,omitempty"`
}

// running are the started apps.
var running struct {
	sync.Mutex
	apps map[*App]instance
}

// CaddyModule returns the Caddy module information.
func (*admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.matrix_auth", New: func() caddy.Module { return new(admin) }}
}

const instancesPath = "/matrix_auth/instances"

// Routes lists the admin routes.
func (*admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: instancesPath, Handler: caddy.AdminHandlerFunc(listInstances)}}
}

func listInstances(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed}
	}
	all := []instance{}
	running.Lock()
	for app, one := range running.apps {
		if app.server.Load() == nil {
			one.Waiting = tolerated.text(app)
		}
		all = append(all, one)
	}
	running.Unlock()
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(all)
}

func (a *App) announce() {
	running.Lock()
	defer running.Unlock()
	if running.apps == nil {
		running.apps = map[*App]instance{}
	}
	running.apps[a] = instance{ServerName: a.settings.config.ServerName, Issuer: a.settings.config.Issuer, Database: a.settings.database}
}

func (a *App) withdraw() {
	running.Lock()
	defer running.Unlock()
	delete(running.apps, a)
}
