package web

import "net/http"

// SetHeaders sets the headers that every answer of a wire bears, errors included.
func SetHeaders(h http.Header, wire Wire) {
	h.Set("X-Content-Type-Options", "nosniff")
	if wire.Open() {
		SetCORS(h)
	}
}

// SetCORS opens an answer to every web page, as the Client-Server API demands (LEG-6). It sets, and
// so never doubles, the headers.
func SetCORS(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "X-Requested-With, Content-Type, Authorization, Date")
	h.Set("Access-Control-Expose-Headers", "Retry-After")
}
