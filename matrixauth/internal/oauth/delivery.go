package oauth

import (
	"fmt"
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// delivery is a row of the ways on which answers reach clients: what the browser of who answered is shown. The pages
// that lead there know no more of it.
type delivery struct {
	// conclude sends the browser on, with the answer or the refusal of its person.
	conclude func(*Door, http.ResponseWriter, *http.Request, grant.Outcome) error
	// refuse shows why a request cannot be granted to who is signed in, and the way back to its client.
	refuse func(*Door, http.ResponseWriter, *http.Request, grant.Pending, error) error
	// destination names where the answer goes, as people can judge it.
	destination func(model.Delivery) string
}

// deliveries are the ways that we have.
var deliveries = map[model.DeliveryKind]delivery{
	model.ByRedirect: {
		conclude: (*Door).redirect, refuse: (*Door).refuseByRedirect,
		destination: func(d model.Delivery) string { return destination(d.Redirect.RedirectURI) },
	},
}

// deliveryOf finds the way of a request.
func deliveryOf(d model.Delivery) (delivery, error) {
	found, ok := deliveries[d.Kind]
	if !ok {
		return found, fmt.Errorf("no answer travels by %q", d.Kind)
	}
	return found, nil
}
