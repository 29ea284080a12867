package signin

import (
	"errors"
	"net/url"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Request is the goal of who comes with an authorization request of a client.
type Request struct {
	// ID is the id of the request. There need not be one.
	ID string
}

const (
	requestParam = "request"
	// maxRequest is more than the id of a request has, in bytes.
	maxRequest = 64
)

// ReadRequest reads a request from an address. The id is empty if there is none, or none that could be ours.
func ReadRequest(get func(name string) string) Request {
	if id := get(requestParam); len(id) <= maxRequest {
		return Request{id}
	}
	return Request{}
}

// Query returns the request as it stands in an address.
func (r Request) Query() url.Values { return url.Values{requestParam: {r.ID}} }

func (Request) path() string { return page.ConsentPath }

func (r Request) next(s *SignIns, tx *store.Tx, v *Visit) (Step, error) {
	if err := r.find(s, tx, v); err != nil {
		return nil, err
	}
	return first(s, tx, v, blocked, r.answered, register, password, consent)
}

// find notes the request of a visit, if it waits for its user.
func (r Request) find(s *SignIns, tx *store.Tx, v *Visit) error {
	p, err := s.config.Grants.Pending(tx, r.ID)
	if errors.Is(err, model.RequestExpired) {
		return nil
	}
	v.Pending = &p
	return err
}

// answered is for who comes back to a request that is over, most likely by the history of their browser: they are told
// what came of it. A code is for who is signed in alone. It returns RequestExpired if nothing came of it, as far as the
// browser may know.
func (r Request) answered(s *SignIns, tx *store.Tx, v *Visit) (Step, error) {
	if v.Pending != nil {
		return nil, nil
	}
	o, err := s.config.Grants.Answered(tx, r.ID, v.Value)
	if err == nil && o.Code != "" && v.Nobody() {
		err = model.NewError(model.RequestExpired)
	}
	if err != nil {
		return nil, err
	}
	return Done{Visit: *v, Outcome: o}, nil
}

// visitor returns the browser as grants know it.
func (v Visit) visitor() grant.Visitor {
	return grant.Visitor{BrowserSession: v.Session, Value: v.Value}
}
