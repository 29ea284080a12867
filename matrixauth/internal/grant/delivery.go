package grant

import (
	"errors"
	"fmt"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// delivery is a way on which the answer to a request reaches its client. Approving, remembering and exchanging know
// no more of it than this: another way is a kind in model, a file here, and a row in deliveries.
type delivery interface {
	// approve prepares the answer in the transaction in which the user approves: what the client will present
	// (CodeHash), and until when (CodeExpiresAt). answer is the secret that follows from browser and request.
	approve(tx *store.Tx, a *model.Authorization, answer string) error
	// carried returns what the browser takes to the client of an approved request; empty if it takes nothing.
	carried(answer string) string
	// verify checks what a client presents: it returns nil if that comes from the client that asked, and errUnproven
	// if that is not shown. Any other Error is what the client is told, while the request stays as it is.
	verify(tx *store.Tx, a model.Authorization, e Exchange) error
	// session returns what session starts for an approved request, without its user and where it comes from.
	session(a model.Authorization, e Exchange) session.Start
	// place returns where the answer goes, for which a consent may be remembered; empty if each request must ask.
	place(c model.Client, d model.Delivery) string
}

// errUnproven means that what was presented shows no more than that somebody has the code.
var errUnproven = errors.New("grant: the code does not come from the client that asked")

// deliveries are the ways that we have.
var deliveries = map[model.DeliveryKind]delivery{model.ByRedirect: redirect{}}

// delivery finds the way of a request.
func (g *Grants) delivery(d model.Delivery) (delivery, error) {
	found, ok := g.deliveries[d.Kind]
	if !ok {
		return nil, fmt.Errorf("no answer travels by %q", d.Kind)
	}
	return found, nil
}
