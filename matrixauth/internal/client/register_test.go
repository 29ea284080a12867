package client

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

func (r *room) register(m Metadata) Registration {
	r.t.Helper()
	got, err := r.Register(context.Background(), m, "192.0.2.1")
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

func (r *room) find(id string) model.Client {
	r.t.Helper()
	found, err := r.Find(context.Background(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}

func TestRegister(t *testing.T) {
	t.Run("who_says_the_same_is_the_same", func(t *testing.T) { // REG-27
		r := newRoom(t)
		first := r.register(with(t, members{"client_name#de": `"x"`}))
		again := r.register(with(t, members{"client_name#de": `"x"`, "unknown": `1`}))
		if diff := cmp.Diff(first, again); diff != "" || first.Secret != "" {
			t.Errorf("%+v\n%s", first, diff)
		}
		if other := r.register(with(t, members{"client_name#de": `"y"`})); other.ID == first.ID {
			t.Error("who says something else is the same")
		}
		plain := r.register(with(t, nil)) // what is left out comes back as it was, too
		if diff := cmp.Diff(plain, r.register(with(t, nil))); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(first.Client, r.find(first.ID)); diff != "" {
			t.Errorf("what is found differs: %s", diff)
		}
	})
	t.Run("who_gets_a_secret_is_new", func(t *testing.T) { // REG-19, CAUTH-5
		r := newRoom(t)
		m := with(t, members{"token_endpoint_auth_method": `"client_secret_post"`})
		first, second := r.register(m), r.register(m)
		if first.ID == second.ID || first.Secret == second.Secret || len(first.Secret) < 52 {
			t.Errorf("got %s %d and %s", first.ID, len(first.Secret), second.ID)
		}
		for _, c := range []Registration{first, second} {
			found, err := r.Authenticate(context.Background(), Credentials{c.ID, c.Secret, model.AuthPost})
			if err != nil || found.ID != c.ID {
				t.Errorf("the secret does not prove the client: %v", err)
			}
		}
		if _, err := r.Authenticate(context.Background(), Credentials{first.ID, second.Secret, model.AuthPost}); err == nil {
			t.Error("another's secret does")
		}
	})
	t.Run("who_registers_again_is_in_use", func(t *testing.T) { // REG-26
		r := newRoom(t)
		id := r.register(with(t, nil)).ID
		before := r.find(id).UsedAt
		r.clock.Move(touchEvery - time.Second)
		r.register(with(t, nil))
		if used := r.find(id).UsedAt; used != before {
			t.Errorf("used at %v", used) // no write for it
		}
		r.clock.Move(time.Second)
		r.register(with(t, nil))
		if used := r.find(id).UsedAt; used != r.clock.Now() {
			t.Errorf("used at %v", used)
		}
	})
	t.Run("a_crowd_is_one_client", func(t *testing.T) { // REG-27
		r := newRoom(t)
		m := with(t, nil)
		ids := make([]string, 20)
		var all sync.WaitGroup
		for i := range ids {
			all.Go(func() {
				if got, err := r.Register(context.Background(), m, "192.0.2.1"); err == nil {
					ids[i] = got.ID
				}
			})
		}
		all.Wait()
		for _, id := range ids {
			if id == "" || id != ids[0] {
				t.Fatalf("the ids are %q", ids)
			}
		}
	})
	t.Run("a_refusal_leaves_nothing", func(t *testing.T) {
		r := newRoom(t)
		before := r.config.Store.Statements()
		if _, err := r.Register(context.Background(), with(t, members{"client_uri": "-"}), "192.0.2.1"); err == nil || r.config.Store.Statements() != before {
			t.Errorf("got %v", err)
		}
	})
}
