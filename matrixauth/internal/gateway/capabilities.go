package gateway

import (
	"encoding/json"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// capabilitiesPaths are where the homeserver tells clients what they may offer.
var capabilitiesPaths = []string{web.ClientAPIPath + "v3/capabilities", web.ClientAPIPath + "r0/capabilities", web.ClientAPIPath + "unstable/capabilities"}

// capability is the form of most capabilities (C-S "GET /capabilities").
type capability struct {
	Enabled bool `json:"enabled"`
}

// tellPasswordChange says to apps of the legacy API that they can change the password, which the homeserver denies
// (ACCT-14). Clients of OAuth would offer a form that nothing answers. What cannot be read passes as it is.
func (g *Gateway) tellPasswordChange(p passage, body []byte) ([]byte, error) {
	changes, err := g.changesPassword(p)
	if err != nil || !changes {
		return nil, err
	}
	document, err := web.ParseObject(body)
	if err != nil {
		return nil, nil //nolint:nilerr // not ours to judge
	}
	all, err := document.Object("capabilities")
	if err != nil || all == nil {
		return nil, nil //nolint:nilerr // not ours to judge
	}
	if all["m.change_password"], err = json.Marshal(capability{true}); err != nil {
		return nil, err
	}
	if document["capabilities"], err = json.Marshal(all); err != nil {
		return nil, err
	}
	return json.Marshal(document)
}

// changesPassword reports whether the bearer of a request's token changes the password by the legacy API.
func (g *Gateway) changesPassword(p passage) (bool, error) {
	value, ok := web.BearerOf(p.authorization, p.query)
	if !ok || !g.LegacyAccount {
		return false, nil
	}
	if kind, ours := model.ParseToken(value); ours && kind != model.CompatAccess {
		return false, nil
	}
	leave, err := g.Enter()
	if err != nil {
		return false, nil //nolint:nilerr // the homeserver has answered: the client must not lose that
	}
	defer leave()
	t, err := g.Sessions.Peek(value)
	if err != nil {
		return false, nil //nolint:nilerr // the homeserver has answered: the client must not lose that
	}
	has, err := g.HasPassword(p.request.Context(), t.UserID)
	return has && err == nil, nil //nolint:nilerr // as above
}
