package browser

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// TestRenew: the session goes on under another value with the new proof, and the value of before finds nothing (SESS-2).
func TestRenew(t *testing.T) {
	b := newBench(t)
	started := b.start("before", "")
	b.clock.Move(time.Hour)
	renew := func(value, other string, p model.Proof) (s model.BrowserSession, err error) {
		return s, b.store.Update(t.Context(), func(tx *store.Tx) (err error) {
			s, err = b.browsers.Renew(tx, value, other, p)
			return err
		})
	}
	if _, err := renew("before", "x", model.Proof{User: model.User{ID: "bob"}}); !errors.Is(err, model.NotSignedIn) {
		t.Errorf("by the proof of somebody else: %v", err)
	}
	b.want("before", "")
	_, err := renew("before", "after", b.proof(model.MethodPassword))
	b.must(err)
	b.want("after", "")
	b.want("before", model.NotSignedIn)
	if s := b.row(started.ID); !s.AuthenticatedAt.Equal(b.clock.Now()) || !s.CreatedAt.Equal(started.CreatedAt) {
		t.Errorf("the session is %+v", s)
	}
	for _, value := range []string{"before", "nothing", ""} {
		if _, err := renew(value, "x", b.proof()); !errors.Is(err, model.NotSignedIn) {
			t.Errorf("%q: %v", value, err)
		}
	}
}

// TestRenewOnce: a form that comes twice does its work once, and is told from others.
func TestRenewOnce(t *testing.T) {
	b := newBench(t)
	works := 0
	once := func(value, form, other string) (string, error) {
		return b.browsers.RenewOnce(t.Context(), value, []byte(form), func() (string, error) { works++; return other, nil })
	}
	known := func(value, form string) string {
		got, err := b.browsers.RenewOnce(t.Context(), value, []byte(form), nil)
		if err != nil && !errors.Is(err, model.NotSignedIn) {
			t.Fatal(err)
		}
		return got
	}
	if known("v", "form") != "" || len(b.browsers.renewals.made) != 0 {
		t.Error("something is kept of who did nothing yet")
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			if got, err := once("v", "form", fmt.Sprint(i)); err != nil || got == "" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	group.Wait()
	given := known("v", "form")
	if works != 1 || given == "" {
		t.Errorf("%d times done, and %q is known", works, given)
	}
	if got, err := once("v", "another form", "x"); !errors.Is(err, model.NotSignedIn) || got != "" || known("v", "another form") != "" {
		t.Errorf("another form got %q, %v", got, err)
	}
	if got, err := once("w", "form", "x"); err != nil || got != "x" {
		t.Errorf("another browser got %q, %v", got, err)
	}
	b.clock.Move(bound.DoubleSubmit + time.Microsecond)
	if known("v", "form") != "" || len(b.browsers.renewals.made) != 0 {
		t.Error("it is kept for too long")
	}
	failed := errors.New("it failed")
	if _, err := b.browsers.RenewOnce(t.Context(), "v", nil, func() (string, error) { return "", failed }); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	if got, err := once("v", "", "again"); err != nil || got != "again" {
		t.Errorf("after a failure: %q, %v", got, err)
	}
	t.Run("who waits and hangs up leaves", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := b.browsers.RenewOnce(t.Context(), "slow", nil, func() (string, error) {
			cancel()
			_, err := b.browsers.RenewOnce(ctx, "slow", nil, nil)
			return "", err
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
