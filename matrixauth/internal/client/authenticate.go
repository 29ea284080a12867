package client

import (
	"context"
	"crypto/subtle"
	"errors"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Credentials are what a caller offered as proof that it is a client.
type Credentials struct {
	ID string
	// Secret is empty if the caller offered none.
	Secret string
	// Method is how the secret came; AuthNone if there was none.
	Method model.AuthMethod
}

// Authenticate finds the client that the credentials prove. It returns an Error with code InvalidClient,
// the same for every reason, if there is no such client, if the method is not the one that the client
// registered, or if the secret is wrong (CAUTH-3, CAUTH-13). Secrets are compared by hash, and for
// unknown clients too, so that the time it takes tells nothing (CAUTH-5).
func (c *Clients) Authenticate(ctx context.Context, given Credentials) (model.Client, error) {
	found, err := c.Find(ctx, given.ID)
	unknown := errors.Is(err, model.UnknownClient)
	if err != nil && !unknown {
		return model.Client{}, err
	}
	sum := model.HashToken(given.Secret)
	same := subtle.ConstantTimeCompare(sum[:], found.SecretHash[:]) == 1
	switch {
	case unknown, given.Method != found.Metadata.AuthMethod:
		return model.Client{}, invalidClient()
	case given.Method.Public() && given.Secret == "", !given.Method.Public() && same:
		return found, nil
	}
	return model.Client{}, invalidClient()
}

func invalidClient() error {
	return model.NewError(model.InvalidClient)
}
