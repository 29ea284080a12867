package web

// Wire is the language that a route speaks. It decides the shape of errors and the headers of every
// answer.
type Wire int

// The wires.
const (
	// MatrixWire is the Client-Server API: errcode documents and CORS for everybody.
	MatrixWire Wire = iota
	// OAuthWire is OAuth 2.0 between servers: RFC 6749 documents and no CORS (INTRO-7).
	OAuthWire
	// OpenOAuthWire is OAuth 2.0 for clients that run in browsers: the same documents with CORS (HTTP-12).
	OpenOAuthWire
	// PlainWire is for routes that machines of the operator read: health, refusals at the edge.
	PlainWire
	// PageWire is HTML for people. Its errors are pages, which the package page writes; WriteError has a
	// line of text for when it cannot.
	PageWire
)

// Open reports whether web pages of any origin may call routes of the wire.
func (w Wire) Open() bool { return w == MatrixWire || w == OpenOAuthWire }

// Wires lists all wires, for tests that range over them.
var Wires = []Wire{MatrixWire, OAuthWire, OpenOAuthWire, PlainWire, PageWire}
