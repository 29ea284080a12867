package conformance

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// clients: a client is found by its id and by its digest, with all that it registered.
func clients(b *bench) {
	want := model.Client{
		ID: "app", CreatedAt: b.now, UsedAt: b.now, SecretHash: model.HashToken("secret"),
		Metadata: model.ClientMetadata{
			Name: "App <&>", URI: "https://example.com", ApplicationType: model.NativeApplication, AuthMethod: model.AuthPost, GrantTypes: []string{"authorization_code"},
			ResponseTypes: []string{"code"}, RedirectURIs: []string{"com.example:/"}, Localized: map[string]string{"client_name#de": "Anwendung"},
		},
	}
	b.update(func(tx *store.Tx) error { return tx.InsertClient(want, model.HashToken("digest")) })
	b.refused("a second client of a digest", func(tx *store.Tx) error {
		other := want
		other.ID = "other"
		return tx.InsertClient(other, model.HashToken("digest"))
	})
	b.update(func(tx *store.Tx) error { // clients without a digest are no copies of one another
		one, other := want, want
		one.ID, other.ID = "one", "two"
		return errors.Join(tx.InsertClient(one, model.TokenHash{}), tx.InsertClient(other, model.TokenHash{}))
	})
	b.move(time.Hour)
	want.UsedAt = b.now
	b.update(func(tx *store.Tx) error { return errors.Join(tx.TouchClient("app"), tx.TouchClient("nobody")) })
	b.view(func(tx *store.Tx) error {
		byID, err := tx.Client("app")
		byDigest, digestErr := tx.ClientByDigest(model.HashToken("digest"))
		if diff := cmp.Diff([]model.Client{want, want}, []model.Client{byID, byDigest}); diff != "" {
			b.Errorf("(-want +got)\n%s", diff)
		}
		_, absent := tx.ClientByDigest(model.TokenHash{})
		b.absent("the zero digest", absent)
		return errors.Join(err, digestErr)
	})
	b.update(func(tx *store.Tx) error { return tx.ProveClient("app") })
	b.view(func(tx *store.Tx) error {
		got, err := tx.Client("app")
		if !got.Proven() {
			b.Errorf("%+v", got)
		}
		return err
	})
}

// consents: one is remembered for each client and redirect URI of a user, the last one counts, and their number is
// bounded.
func consents(b *bench) {
	consent := func(userID, clientID, scope string) model.Consent {
		return model.Consent{UserID: userID, ClientID: clientID, RedirectURI: "https://example.com", Scope: scope}
	}
	b.update(func(tx *store.Tx) error {
		return errors.Join(user(tx, "alice"), user(tx, "bob"), tx.SaveConsent(consent("bob", "his", "x")), tx.SaveConsent(consent("alice", "app", "x")), tx.SaveConsent(consent("alice", "app", "y")))
	})
	b.view(func(tx *store.Tx) error {
		scope, err := tx.Consented("alice", "app", "https://example.com")
		other, otherErr := tx.Consented("alice", "app", "https://example.org")
		if scope != "y" || other != "" {
			b.Errorf("the scope is %q, that of another address %q", scope, other)
		}
		return errors.Join(err, otherErr)
	})
	for i := range 600 {
		b.move(time.Second)
		b.update(func(tx *store.Tx) error { return tx.SaveConsent(consent("alice", fmt.Sprintf("app%03d", i), "x")) })
	}
	b.update(func(tx *store.Tx) error {
		all, err := tx.Consents("alice")
		if err != nil || len(all) == 0 || len(all) >= 600 || all[0].ClientID != "app599" {
			b.Errorf("%d are remembered: %v", len(all), err)
		}
		if n, err := tx.DeleteConsents("alice", "app599"); err != nil || n != 1 {
			b.Errorf("%d were deleted: %v", n, err)
		}
		n, err := tx.DeleteAllConsents("alice")
		if n != int64(len(all)-1) {
			b.Errorf("%d were deleted of %d", n, len(all)-1)
		}
		his, hisErr := tx.Consents("bob")
		if len(his) != 1 {
			b.Errorf("another user has %d", len(his))
		}
		return errors.Join(err, hisErr)
	})
}

// authorizations: a request is answered once, and its code is used up once, whoever comes at the same time (TOK-12).
func authorizations(b *bench) {
	age := int64(60)
	want := model.Authorization{
		ID: "request", ClientID: "app", Network: "192.0.2.1", CreatedAt: b.now, ExpiresAt: b.now.Add(time.Hour),
		Request: model.Request{
			Asked:    model.Asked{Scope: "x", MaxAge: &age},
			Delivery: model.Delivery{Kind: model.ByRedirect, Redirect: model.Redirect{RedirectURI: "https://example.com/<&>", State: "\x00ü", HasState: true}},
		},
	}
	approved := want
	approved.UserID, approved.BrowserSessionID, approved.AnswerHash, approved.CodeHash, approved.CodeExpiresAt = "alice", "browser", model.HashToken("answer"), model.HashToken("code"), b.now.Add(time.Minute)
	b.update(func(tx *store.Tx) error { return errors.Join(user(tx, "alice"), tx.InsertAuthorization(want)) })
	b.view(func(tx *store.Tx) error {
		got, err := tx.Authorization("request")
		if diff := cmp.Diff(want, got); diff != "" {
			b.Errorf("(-want +got)\n%s", diff)
		}
		return err
	})
	once := func(f func(tx *store.Tx) (bool, error)) (n int) {
		var group sync.WaitGroup
		var mu sync.Mutex
		for range 10 {
			group.Go(func() {
				won := false
				if err := b.store.Update(b.Context(), func(tx *store.Tx) (err error) { won, err = f(tx); return err }); err != nil {
					b.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if won {
					n++
				}
			})
		}
		group.Wait()
		return n
	}
	if n := once(func(tx *store.Tx) (bool, error) { return tx.ApproveAuthorization(approved) }); n != 1 {
		b.Errorf("%d approved", n)
	}
	if n := once(func(tx *store.Tx) (bool, error) { return tx.ConsumeAuthorization("request", "session") }); n != 1 {
		b.Errorf("%d consumed", n)
	}
	b.update(func(tx *store.Tx) error {
		if declined, err := tx.DeclineAuthorization(approved); declined || err != nil {
			b.Errorf("what was consumed was declined: %v", err)
		}
		got, err := tx.AuthorizationByCode(model.HashToken("code"))
		if got.SessionID != "session" || got.UserID != "alice" || got.Network != "" || got.ConsumedAt.IsZero() {
			b.Errorf("%+v", got)
		}
		_, absent := tx.AuthorizationByCode(model.TokenHash{})
		b.absent("the zero code", absent)
		return err
	})
}
