package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// verifications: a subject has one at most, and of all only the newest are kept.
func verifications(b *bench) {
	registration := model.Subject{Kind: model.ForRegistration, ID: "1"}
	account := model.Subject{Kind: model.ForAccount, ID: "1"}
	want := model.Verification{
		ID: "v1", Subject: registration, Address: "Alice@example.com", Key: "alice@example.com", Language: "de", SealedCode: []byte{1, 2}, Mails: 1, CreatedAt: b.clock(),
	}
	b.update(func(tx *store.Tx) error {
		other := want
		other.ID, other.Subject = "v2", account
		return errors.Join(tx.InsertVerification(want), tx.InsertVerification(other))
	})
	b.refused("a second one of a subject", func(tx *store.Tx) error {
		again := want
		again.ID = "v3"
		return tx.InsertVerification(again)
	})
	b.move(time.Minute)
	want.Tries, want.Mails, want.AcceptedAt, want.ProvenAt = 3, 2, b.clock(), b.clock()
	b.update(func(tx *store.Tx) error { return tx.UpdateVerification(want) })
	b.view(func(tx *store.Tx) error {
		byID, err := tx.Verification("v1")
		bySubject, otherErr := tx.VerificationOf(registration)
		if diff := cmp.Diff([]model.Verification{want, want}, []model.Verification{byID, bySubject}); diff != "" {
			b.Errorf("(-want +got)\n%s", diff)
		}
		return errors.Join(err, otherErr)
	})
	b.update(func(tx *store.Tx) error { return tx.DeleteVerification(registration) })
	b.view(func(tx *store.Tx) error {
		if _, err := tx.VerificationOf(registration); !errors.Is(err, model.ErrNotFound) {
			b.Errorf("deleted: %v", err)
		}
		_, err := tx.VerificationOf(account)
		return err
	})
	b.move(time.Minute)
	b.update(func(tx *store.Tx) error {
		for i := range bound.Verifications {
			more := want
			more.ID, more.Subject.ID, more.CreatedAt = fmt.Sprint("more", i), fmt.Sprint("more", i), tx.Now
			if err := tx.InsertVerification(more); err != nil {
				return err
			}
		}
		return nil
	})
	b.view(func(tx *store.Tx) error {
		if _, err := tx.VerificationOf(account); !errors.Is(err, model.ErrNotFound) {
			b.Errorf("the oldest of too many: %v", err)
		}
		return nil
	})
	b.move(bound.VerificationLife + time.Minute)
	removed, err := b.store.Retain(context.Background())
	b.must(err)
	if removed < bound.Verifications {
		b.Errorf("%d were removed", removed)
	}
}
