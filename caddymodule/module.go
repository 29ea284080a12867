// Package caddymodule is the door to Caddy: the directive and its configuration, the life of the
// server within Caddy's, and the commands. All that it does beyond is done by package matrixauth.
package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(&App{})
	caddy.RegisterModule(&Handler{})
	caddy.RegisterModule(&admin{})
	httpcaddyfile.RegisterDirective("matrix_auth", parseDirective)
	// Foreign requests are passed on, so the directive may and must stand before everything that
	// answers: a catch-all "handle" or "reverse_proxy" would swallow our routes.
	httpcaddyfile.RegisterDirectiveOrder("matrix_auth", httpcaddyfile.After, "encode")
	caddycmd.RegisterCommand(command)
}

// Interface guards.
var (
	_ caddy.App                   = (*App)(nil)
	_ caddy.Provisioner           = (*App)(nil)
	_ caddy.CleanerUpper          = (*App)(nil)
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ caddy.AdminRouter           = (*admin)(nil)
)
