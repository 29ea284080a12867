package caddymodule

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// forwardedFor is the header to which each proxy adds the address that it saw, so that all but what our
// own proxies added is the client's to invent.
const forwardedFor = "X-Forwarded-For"

// clientIP returns the address that Caddy found, through trusted proxies only. It notices when Caddy takes the
// leftmost address of X-Forwarded-For: whoever is behind a proxy that appends, as nearly all do, chooses
// their address then, and no limit holds.
func (a *App) clientIP(r *http.Request) string {
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); trusted {
		server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
		if server != nil && believesLeftmost(server.TrustedProxiesStrict, server.ClientIPHeaders) && a.leftmost.CompareAndSwap(false, true) {
			a.logger.Warn("clients choose their own address, so that no limit holds: write trusted_proxies_strict beside trusted_proxies")
		}
	}
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}

// believesLeftmost reports whether a server that has trusted proxies takes the leftmost address of a header. One that a proxy
// overwrites holds one address, and is as good either way.
func believesLeftmost(strict int, headers []string) bool {
	return strict <= 0 && (len(headers) == 0 || slices.ContainsFunc(headers, func(name string) bool { return strings.EqualFold(name, forwardedFor) }))
}

const trustedCheck = "trusted proxies"

// leftmostFinding returns what the doctor says of it.
func leftmostFinding(where string) matrixauth.Finding {
	return matrixauth.Wrong(trustedCheck, "leftmost", "Caddy believes the leftmost address of "+forwardedFor+", which clients can invent: no limit on passwords holds",
		where, "servers {\n\ttrusted_proxies …\n\ttrusted_proxies_strict\n}")
}

// checkTrustedProxies looks for trusted proxies without trusted_proxies_strict in a configuration. The server
// looks too, at requests: what runs may have come from elsewhere than this file.
func checkTrustedProxies(raw []byte, file string) ([]matrixauth.Finding, error) {
	var document struct {
		Apps struct {
			HTTP struct {
				Servers map[string]struct {
					Trusted json.RawMessage `json:"trusted_proxies"`
					Unix    bool            `json:"trusted_proxies_unix"`
					Strict  int             `json:"trusted_proxies_strict"`
					Headers []string        `json:"client_ip_headers"`
				} `json:"servers"`
			} `json:"http"`
		} `json:"apps"`
	}
	if raw == nil {
		return nil, nil // it could not be read here
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var findings []matrixauth.Finding
	trusting := false
	for _, name := range slices.Sorted(maps.Keys(document.Apps.HTTP.Servers)) {
		server := document.Apps.HTTP.Servers[name]
		if len(server.Trusted) == 0 && !server.Unix {
			continue
		}
		trusting = true
		if believesLeftmost(server.Strict, server.Headers) {
			findings = append(findings, leftmostFinding("the servers block of the global options in "+file+" (server "+name+")"))
		}
	}
	if trusting && len(findings) == 0 {
		findings = append(findings, matrixauth.Well(trustedCheck, "addresses of clients are found in a way that clients cannot change"))
	}
	return findings, nil
}
