package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// joins are the places of the directives without settings in the Caddyfile that this process read last. The
// Caddyfile's own reader sees one site at a time and cannot tell whether another one has settings; whoever
// can, once the sites are provisioned, sees no lines any more.
var joins struct {
	sync.Mutex
	places []string
}

// noteJoin notes a directive without settings. state is that of one Caddyfile.
func noteJoin(state map[string]any, t caddyfile.Token) {
	const key = "matrix_auth joins"
	joins.Lock()
	defer joins.Unlock()
	if _, known := state[key]; !known {
		state[key], joins.places = true, nil
	}
	if place := fmt.Sprintf("%s:%d", t.File, t.Line); !slices.Contains(joins.places, place) {
		joins.places = append(joins.places, place)
	}
}

// noSettings says that every matrix_auth of a configuration joins another one.
func noSettings() error {
	const text = "no matrix_auth of this configuration has settings; write in one site: matrix_auth example.com https://matrix.example.com"
	joins.Lock()
	defer joins.Unlock()
	// A process that serves something already was given its configuration by another one, which read the file.
	if _, err := caddy.ActiveContext().AppIfConfigured("http"); err == nil || len(joins.places) == 0 {
		return errors.New(text)
	}
	return fmt.Errorf("%s (a bare one is at %s)", text, strings.Join(joins.places, ", "))
}

// sitesAbove returns the sites in which a handler that is being provisioned stands; nil if it stands elsewhere.
func sitesAbove(ctx caddy.Context) *caddyhttp.App {
	for _, module := range ctx.Modules() {
		if sites, ok := module.(*caddyhttp.App); ok {
			return sites
		}
	}
	return nil
}

// laterSettings reports whether a handler that is not provisioned yet has settings. Caddy keeps the text of
// the handlers of a route until all of them are provisioned.
func laterSettings(sites *caddyhttp.App) bool {
	for _, server := range sites.Servers {
		lists := []caddyhttp.RouteList{server.Routes}
		if server.Errors != nil {
			lists = append(lists, server.Errors.Routes)
		}
		for _, named := range server.NamedRoutes {
			lists = append(lists, caddyhttp.RouteList{*named})
		}
		for _, route := range slices.Concat(lists...) {
			for _, raw := range route.HandlersRaw {
				if hasSettings(raw) {
					return true
				}
			}
		}
	}
	return false
}

func hasSettings(raw json.RawMessage) bool {
	_, found, err := findSettings(raw)
	return found || err != nil // Caddy says what is wrong with it
}
