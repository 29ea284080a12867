package client

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Registration is a client that has registered.
type Registration struct {
	model.Client
	// Secret is the client's secret, which is told once; empty for a public client.
	Secret string
}

// touchEvery is how often it is noted that a client registered again: clients register at every
// sign-in, and a write each would be one more wait for the disk.
const touchEvery = 24 * time.Hour

// Register registers a client by RFC 7591, as the Client-Server API narrows it. Public clients that
// say the same of themselves are the same client, as they register at every sign-in (REG-27); one with
// a secret is always new, as the secret cannot be told again. Errors: InvalidRedirectURI,
// InvalidClientMetadata and UnapprovedSoftware, which name the member to blame. ip is the address from which
// it registers: as long as nobody consented to it, it counts for the network from which it registered last.
func (c *Clients) Register(ctx context.Context, m Metadata, ip string) (r Registration, err error) {
	metadata, err := c.parse(m)
	if err != nil {
		return r, err
	}
	network := model.Site(ip)
	if !metadata.AuthMethod.Public() {
		r.Secret = model.NewClientSecret()
		r.Client = model.Client{Metadata: metadata, SecretHash: model.HashToken(r.Secret), Network: network}
		return r, c.config.Store.Update(ctx, func(tx *store.Tx) error { return insert(tx, &r.Client, model.TokenHash{}) })
	}
	digest, err := digestOf(metadata)
	if err != nil {
		return r, err
	}
	var fresh bool
	err = c.config.Store.View(ctx, func(tx *store.Tx) error {
		r.Client, err = tx.ClientByDigest(digest)
		fresh = err == nil && tx.Now.Sub(r.UsedAt) < touchEvery && (r.Proven() || r.Network == network)
		return err
	})
	if fresh || err != nil && !errors.Is(err, model.ErrNotFound) {
		return r, err
	}
	err = c.config.Store.Update(ctx, func(tx *store.Tx) error {
		r.Client, err = tx.ClientByDigest(digest) // again, as another may have been quicker
		if errors.Is(err, model.ErrNotFound) {
			r.Client = model.Client{Metadata: metadata, Network: network}
			return insert(tx, &r.Client, digest)
		}
		if err != nil {
			return err
		}
		if !r.Proven() {
			return tx.HoldClient(r.ID, network)
		}
		return tx.TouchClient(r.ID)
	})
	return r, err
}

func insert(tx *store.Tx, c *model.Client, digest model.TokenHash) error {
	c.ID, c.CreatedAt, c.UsedAt = model.NewID(tx.Now), tx.Now, tx.Now
	return tx.InsertClient(*c, digest)
}

// digestOf returns the hash of metadata in canonical form. The order of lists means nothing.
func digestOf(m model.ClientMetadata) (model.TokenHash, error) {
	for _, list := range []*[]string{&m.GrantTypes, &m.ResponseTypes, &m.RedirectURIs, &m.Contacts} {
		*list = slices.Sorted(slices.Values(*list))
	}
	canonical, err := json.Marshal(m)
	return model.HashToken(string(canonical)), err
}
