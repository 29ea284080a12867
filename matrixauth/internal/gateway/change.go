package gateway

import (
	"net/http"
	"slices"
	"strings"
)

// change is one way in which answers of the homeserver are changed on their way to the client. Only complete
// answers with a JSON body of at most bound.HeldAnswer bytes are, and none to HEAD, which has no body; any other passes
// to the byte.
type change struct {
	// paths are what the path of the request begins with; empty for all that the gateway looks at.
	paths []string
	// token reports whether only requests count that may bear an access token.
	token bool
	// status is that of the answers.
	status int
	// revise returns the body to send in the place of the homeserver's; nil for that one. An error is answered
	// in its place.
	revise func(*Gateway, passage, []byte) ([]byte, error)
	// reviseUnread takes the place of revise where the body is in a coding that we cannot read. Nil has it pass.
	reviseUnread func(*Gateway, passage) ([]byte, error)
}

// changes lists all of them. Of several that an answer falls under, the first counts.
var changes = []change{
	{paths: capabilitiesPaths, token: true, status: http.StatusOK, revise: (*Gateway).tellPasswordChange},
	{token: true, status: http.StatusUnauthorized, revise: (*Gateway).keepSession, reviseUnread: (*Gateway).keepExpired},
}

// mayConcern reports whether the answer to a request may be changed. It costs nothing.
func (c *change) mayConcern(p passage) bool {
	if c.token && !p.mayBear() {
		return false
	}
	return len(c.paths) == 0 || slices.ContainsFunc(c.paths, func(path string) bool { return strings.HasPrefix(p.path, path) })
}

// mayChange reports whether the answer to a request may be changed in any way.
func (g *Gateway) mayChange(p passage) bool {
	for i := range g.changes {
		if g.changes[i].mayConcern(p) {
			return true
		}
	}
	return false
}

// changeOf finds how an answer is changed, by what its header says; nil for not at all.
func (g *Gateway) changeOf(p passage, status int, h http.Header) *change {
	if p.request.Method == http.MethodHead {
		return nil
	}
	for i := range g.changes {
		if c := &g.changes[i]; c.status == status && c.mayConcern(p) && isJSON(h.Get("Content-Type")) {
			return c
		}
	}
	return nil
}

func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), "application/json")
}
