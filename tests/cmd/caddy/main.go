// Command caddy is Caddy with the module, built by the plain Go tool: what developers and tests run.
// xcaddy.sh builds what owners run.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // Caddy's own modules

	_ "github.com/caddy-matrix-auth/caddy-matrix-auth/caddymodule" // ours
)

func main() { caddycmd.Main() }
