package web

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
)

// SetHeaders sets the headers that every answer of a wire bears, errors included.
func SetHeaders(h http.Header, wire Wire) {
	h.Set("X-Content-Type-Options", "nosniff")
	if wire.Open() {
		setCORS(h)
	}
	if wire == PageWire {
		setPageHeaders(h)
	}
	if wire == OpenOAuthWire {
		h.Set("Pragma", "no-cache") // TOK-2, REG-3; Cache-Control comes with the body
	}
}

// setCORS opens an answer to every web page, as the Client-Server API demands (LEG-6). It sets, and
// so never doubles, the headers.
func setCORS(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "X-Requested-With, Content-Type, Authorization, Date")
	h.Set("Access-Control-Expose-Headers", "Retry-After")
}

// pagePolicy allows a page its stylesheet and pictures and nothing else, no script among them. It has
// no form-action: Chromium applies that to the redirect after a form, which leads to the client, whose
// address may be any (HTTP-4).
const pagePolicy = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"

// setPageHeaders keeps pages out of frames, caches, referrers and other windows' reach (HTTP-5, HTTP-6).
func setPageHeaders(h http.Header) {
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Cache-Control", "no-store")
}

// AllowScript lets a page run one inline script, known by its hash, beside what pages may. The text is
// what stands between the script's tags, to the byte.
func AllowScript(h http.Header, script string) {
	sum := sha256.Sum256([]byte(script))
	h.Set("Content-Security-Policy", pagePolicy+"; script-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
}
