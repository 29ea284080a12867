package signin

import (
	"net/url"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Goal is where a browser is on its way to. It travels in the query of addresses. Each kind of goal is a type with a
// file of its own.
type Goal interface {
	// Query is the goal as it stands in an address. It holds nothing that somebody else thought of.
	Query() url.Values
	// path is the page of the goal, below the issuer.
	path() string
	// next returns the first step that is still to be done, or nil if the goal is reached.
	next(s *SignIns, tx *store.Tx, v *Visit) (Step, error)
}

// ReadGoal reads a goal from an address or a form. What is not known, or cannot be, is left out, so that an address
// which we make of it holds nothing that somebody else thought of (ACCT-8, HTTP-8).
func ReadGoal(get func(name string) string) Goal {
	if r := ReadRequest(get); r.ID != "" {
		return r
	}
	return ReadAccountPage(get)
}

// address returns a page with a query.
func address(path string, query url.Values) string {
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// Address returns where the page of a step on the way to a goal is, below the issuer.
func Address(g Goal, s Step) string { return address(s.path(g), g.Query()) }

// Browser is a browser that asks for something.
type Browser struct {
	// Value is the value of the browser's cookie; empty if it has none.
	Value  string
	Source model.Source
}
