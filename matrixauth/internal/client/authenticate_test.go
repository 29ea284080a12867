package client

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
)

// room is clients on a real store, with a clock that the test moves.
type room struct {
	*Clients
	t     *testing.T
	clock *testkit.Clock
}

func newRoom(t *testing.T, static ...model.Client) *room {
	t.Helper()
	r := &room{t: t, clock: testkit.NewClock()}
	s, err := store.Open(context.Background(), store.Options{Rehearse: true, NoSync: true, Path: filepath.Join(t.TempDir(), "test.db"), Create: true, Now: r.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	config := Config{Store: s, Static: map[string]model.Client{}}
	for _, c := range static {
		config.Static[c.ID] = c
	}
	r.Clients = New(config)
	return r
}

// stored is a client with a method and a secret.
func stored(id string, method model.AuthMethod, secret string) model.Client {
	c := model.Client{ID: id, Metadata: model.ClientMetadata{AuthMethod: method}}
	if secret != "" {
		c.SecretHash = model.HashToken(secret)
	}
	return c
}

func TestAuthenticate(t *testing.T) { // CAUTH-3, CAUTH-5, CAUTH-13
	const secret = "s3cret"
	none, basic, post := model.AuthNone, model.AuthBasic, model.AuthPost
	r := newRoom(t, stored("static", basic, secret))
	err := r.config.Store.Update(context.Background(), func(tx *store.Tx) error {
		for _, c := range []model.Client{stored("public", none, ""), stored("basic", basic, secret), stored("post", post, secret)} {
			c.CreatedAt = tx.Now
			if err := tx.InsertClient(c, model.TokenHash{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		given Credentials
		right bool
	}{
		"a_public_client_names_itself":           {Credentials{"public", "", none}, true},
		"and_must_not_send_a_secret":             {Credentials{"public", secret, post}, false},
		"nor_an_empty_one_in_the_header":         {Credentials{"public", "", basic}, false},
		"nor_one_without_a_method":               {Credentials{"public", secret, none}, false},
		"a_secret_in_the_header":                 {Credentials{"basic", secret, basic}, true},
		"not_in_the_body_if_registered_so":       {Credentials{"basic", secret, post}, false},
		"a_wrong_one":                            {Credentials{"basic", secret + "x", basic}, false},
		"an_empty_one":                           {Credentials{"basic", "", basic}, false},
		"none_at_all":                            {Credentials{"basic", "", none}, false},
		"a_secret_in_the_body":                   {Credentials{"post", secret, post}, true},
		"not_in_the_header_if_registered_so":     {Credentials{"post", secret, basic}, false},
		"a_client_of_the_configuration":          {Credentials{"static", secret, basic}, true},
		"with_a_wrong_secret":                    {Credentials{"static", "", basic}, false},
		"an_unknown_client":                      {Credentials{"nobody", "", none}, false},
		"an_unknown_client_with_a_secret":        {Credentials{"nobody", secret, basic}, false},
		"a_client_without_an_id":                 {Credentials{"", "", none}, false},
		"the_hash_of_a_secret_is_not_the_secret": {Credentials{"basic", string(hashOf(secret)), basic}, false},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := r.Authenticate(context.Background(), test.given)
			if test.right {
				if err != nil || found.ID != test.given.ID {
					t.Errorf("got %q: %v", found.ID, err)
				}
				return
			}
			var e *model.Error
			var want *model.Error
			if !errors.As(err, &e) || !errors.As(invalidClient(), &want) || *e != *want || found.ID != "" {
				t.Errorf("got %q: %#v", found.ID, err) // the same answer for every reason
			}
		})
	}
}

func hashOf(secret string) []byte {
	h := model.HashToken(secret)
	return h[:]
}

// TestAuthenticateCost asks the store the same for known and unknown clients.
func TestAuthenticateCost(t *testing.T) { // CAUTH-5
	r := newRoom(t)
	err := r.config.Store.Update(context.Background(), func(tx *store.Tx) error {
		return tx.InsertClient(model.Client{ID: "known", Metadata: model.ClientMetadata{AuthMethod: model.AuthBasic}, SecretHash: model.HashToken("x"), CreatedAt: tx.Now}, model.TokenHash{})
	})
	if err != nil {
		t.Fatal(err)
	}
	cost := func(id string) uint64 {
		before := r.config.Store.Statements()
		if _, err := r.Authenticate(context.Background(), Credentials{id, "wrong", model.AuthBasic}); err == nil {
			t.Fatal("a wrong secret passes")
		}
		return r.config.Store.Statements() - before
	}
	if known, unknown := cost("known"), cost("unknown"); known != unknown {
		t.Errorf("a known client costs %d statements and an unknown one %d", known, unknown)
	}
}
