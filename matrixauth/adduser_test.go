package matrixauth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// tryAdd judges and adds an account, which must agree.
func (h *house) tryAdd(n NewUser) error {
	h.t.Helper()
	n.Password = alicesPassword
	_, judged := CheckNewUser.Do(h.t.Context(), h.ops, n)
	_, err := AddUser.Do(h.t.Context(), h.ops, n)
	if (judged == nil) != (err == nil) || judged != nil && judged.Error() != err.Error() {
		h.t.Errorf("judged %v, added %v", judged, err)
	}
	return err
}

// TestAddUser: a name is given out, or taken over, by the homeserver's word alone; without it only by the
// operator's (CREATE-5).
func TestAddUser(t *testing.T) {
	unasked := map[string]struct {
		begin func(*house)
		says  []string
	}{
		"stopped":            {func(h *house) { h.fake.Stop() }, []string{"cannot be asked", "see that it runs"}},
		"behind a proxy":     {func(h *house) { h.fake.Fail(http.StatusBadGateway, "") }, []string{"cannot be asked", "502"}},
		"internal error":     {func(h *house) { h.fake.Fail(http.StatusInternalServerError, "M_UNKNOWN") }, []string{"cannot be asked", "500"}},
		"limits":             {func(h *house) { h.fake.Fail(http.StatusTooManyRequests, "M_LIMIT_EXCEEDED") }, []string{"cannot be asked", "429"}},
		"other secret":       {func(h *house) { h.fake.Fail(http.StatusForbidden, "M_UNKNOWN") }, []string{"refuses our secret", "403", "synapse-config"}},
		"proxy says no":      {func(h *house) { h.fake.Fail(http.StatusForbidden, "") }, []string{"something in front of it", "refuses our secret"}},
		"without delegation": {func(h *house) { h.serveFake(fake.Config{NoDelegation: true}) }, []string{"Synapse 1.163.2", "does not delegate its logins to us yet", "synapse-config"}},
		"too old":            {func(h *house) { h.serveFake(fake.Config{Version: homeserver.Version{Major: 1, Minor: 120}}) }, []string{"Synapse 1.120.0", "too old", "1.136.0"}},
		"no Synapse":         {func(h *house) { h.fake.Fail(http.StatusNotFound, "") }, []string{"no Synapse that delegates", "client listener"}},
	}
	for name, outage := range unasked {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.fake.Seed(fake.User{Localpart: "bob"})
			before := h.rows()
			outage.begin(h)
			for _, n := range []NewUser{{Localpart: "alice"}, {Localpart: "bob", Existing: true}} {
				err := h.tryAdd(n)
				h.wantSentence(err, append(outage.says, "--force", "@"+n.Localpart+":"+serverName)...)
				if isRefused(err) {
					t.Error("it counts as the operator's mistake")
				}
			}
			if after := h.rows(); after != before {
				t.Errorf("something is left:\n%s", after)
			}
			for _, n := range []NewUser{{Localpart: "alice", Force: true}, {Localpart: "bob", Existing: true, Force: true}} {
				h.must(func() error { n.Password = alicesPassword; _, err := AddUser.Do(t.Context(), h.ops, n); return err }())
			}
		})
	}
	t.Run("taken at the homeserver", func(t *testing.T) {
		h := newHouse(t)
		h.fake.Seed(fake.User{Localpart: "bob"})
		for _, force := range []bool{false, true} {
			h.wantSentence(h.tryAdd(NewUser{Localpart: "bob", Force: force}), "has an account @bob:example.test already", "--existing")
		}
		act(h, AddUser, NewUser{Localpart: "bob", Password: alicesPassword, Existing: true})
		h.loginOn("bob", "PHONE")
	})
	t.Run("not there", func(t *testing.T) {
		h := newHouse(t)
		for _, force := range []bool{false, true} {
			h.wantSentence(h.tryAdd(NewUser{Localpart: "bobb", Existing: true, Force: force}), "no account @bobb:example.test", "leave --existing out")
		}
	})
	t.Run("an application service's", func(t *testing.T) {
		h := newHouse(t)
		h.wantSentence(h.tryAdd(NewUser{Localpart: "bridge_x", Force: true}), "application service")
	})
	t.Run("deactivated at the homeserver", func(t *testing.T) {
		h := newHouse(t)
		h.fake.Seed(fake.User{Localpart: "bob", Deactivated: true})
		h.wantSentence(h.tryAdd(NewUser{Localpart: "bob", Existing: true}), "has deactivated the account @bob:example.test", "--force", "user reactivate")
		h.wantSentence(h.tryAdd(NewUser{Localpart: "bob", Existing: true, Force: true, Email: "bob@example.org"}), "no mail address")
		if added := act(h, AddUser, NewUser{Localpart: "bob", Password: alicesPassword, Existing: true, Force: true}); added.State != "deactivated" {
			t.Errorf("it is %s", added.State)
		}
		act(h, ReactivateUser, Name{User: "bob"})
		h.settle()
		h.loginOn("bob", "PHONE")
	})
	t.Run("another server name", func(t *testing.T) {
		h := newHouse(t)
		h.serveFake(fake.Config{ServerName: "other.test"}, fake.User{Localpart: "bob"})
		for _, force := range []bool{false, true} {
			err := h.tryAdd(NewUser{Localpart: "bob", Existing: true, Force: force})
			h.wantSentence(err, "another server_name", "other.test", "Caddyfile")
			if strings.Contains(err.Error(), "--force") {
				t.Errorf("force is offered: %v", err)
			}
		}
	})
	t.Run("another server name, before there is anybody", func(t *testing.T) {
		h := newHouse(t)
		h.serveFake(fake.Config{ServerName: "other.test", Keys: true})
		for _, force := range []bool{false, true} {
			h.wantSentence(h.tryAdd(NewUser{Localpart: "alice", Force: force}), `it is "other.test", the configuration says "example.test"`)
		}
		h.serveFake(fake.Config{Keys: true})
		act(h, AddUser, NewUser{Localpart: "alice", Password: alicesPassword})
	})
	t.Run("ours already", func(t *testing.T) {
		h := newHouse(t)
		h.add("alice")
		h.fake.Stop() // what we know ourselves is said first
		h.wantSentence(h.tryAdd(NewUser{Localpart: "alice"}), "@alice:example.test is here already (active)", "user set-password")
		h.wantSentence(h.tryAdd(NewUser{Localpart: "@alice:example.test", Existing: true, Force: true}), "is here already")
		act(h, DeactivateUser, Deactivation{Name: Name{User: "alice"}})
		h.wantSentence(h.tryAdd(NewUser{Localpart: "alice"}), "(deactivated)", "user reactivate")
	})
	t.Run("what it is made of", func(t *testing.T) {
		h := newHouse(t)
		h.add("alice")
		act(h, AddEmail, NameAndEmail{Name: Name{User: "alice"}, Email: "alice@example.org"})
		for _, n := range []NewUser{
			{Localpart: "Bob"}, {Localpart: "@bob:other.test"}, {Localpart: "bob", Email: "bob"}, {Localpart: "bob", Email: "ALICE@example.org"},
			{Localpart: "bob", DisplayName: strings.Repeat("é", 257)},
		} {
			if err := h.tryAdd(n); err == nil || !isRefused(err) {
				t.Errorf("%+v: %v", n, err)
			}
		}
		if added := act(h, AddUser, NewUser{Localpart: "@bob:EXAMPLE.test", Password: alicesPassword, DisplayName: strings.Repeat("é", 256)}); added.MatrixID != "@bob:example.test" {
			t.Errorf("it is %s", added.MatrixID)
		}
		h.settle()
		if len(h.setAside()) != 0 {
			t.Error("the homeserver refused it")
		}
	})
}

// serveFake puts another homeserver in the place of the house's.
func (h *house) serveFake(c fake.Config, users ...fake.User) {
	c.Secret = sharedKey
	if c.ServerName == "" {
		c.ServerName = serverName
	}
	other := fake.New(c)
	for _, u := range users {
		other.Seed(u)
	}
	h.fake.Intercept(other.ServeHTTP)
}

// TestPasswordIsText: a password that no client could ever send is refused (PW-5).
func TestPasswordIsText(t *testing.T) {
	h := newHouse(t)
	for _, clear := range []string{"correct \x00 horse", "correct \xff horse"} {
		if _, err := h.domain().Users.HashPassword(t.Context(), clear); !errors.Is(err, model.InvalidPassword) {
			t.Errorf("%q: %v", clear, err)
		}
	}
}

// TestNames: wherever an operator names a user, the case does not matter and a full Matrix id will do.
func TestNames(t *testing.T) {
	h := newHouse(t)
	h.add("alice")
	for _, name := range []string{"alice", "ALICE", "@alice:example.test", "@Alice:Example.Test"} {
		if u := act(h, ShowUser, Name{User: name}); u.Localpart != "alice" {
			t.Errorf("%s is %s", name, u.Localpart)
		}
		if u := act(h, LockUser, Name{User: name}); u.State != "locked" {
			t.Errorf("%s is %s", name, u.State)
		}
		act(h, UnlockUser, Name{User: name})
		act(h, EndSessions, SessionsToEnd{User: name})
		act(h, ListConsents, Name{User: name})
		act(h, IssueToken, NewToken{Name: Name{User: name}})
	}
	for name, says := range map[string]string{
		"@alice:other.test": "of another server", "bob": "no account @bob:example.test", "@": "no account", "": "no account",
	} {
		_, err := ShowUser.Do(t.Context(), h.ops, Name{User: name})
		h.wantSentence(err, says)
	}
}

// TestServerName: a database is of the homeserver whose accounts it holds, and of no other.
func TestServerName(t *testing.T) {
	ctx := context.Background()
	other := func(h *house) Config {
		c := h.config
		c.ServerName, c.Issuer = "other.test", "https://matrix.other.test"
		return c
	}
	deps := Deps{Logger: slog.New(slog.DiscardHandler)}
	t.Run("nobody's before the first account", func(t *testing.T) {
		h := newHouse(t)
		if _, err := New(h.core, other(h), deps); err != nil {
			t.Error(err)
		}
		h.must(CheckDatabase(ctx, h.file, "other.test"))
	})
	t.Run("kept from the first account on", func(t *testing.T) {
		h := newHouse(t)
		h.add("alice")
		_, err := New(h.core, other(h), deps)
		h.wantSentence(err, h.file, "holds the accounts of example.test", "the configuration says other.test", "set it back")
		// As "caddy validate" does, while a server has it open.
		h.wantSentence(CheckDatabase(ctx, h.file, "other.test"), "holds the accounts of example.test")
		h.must(CheckDatabase(ctx, h.file, serverName))
	})
	t.Run("at a command without a server", func(t *testing.T) {
		h := newHouse(t)
		h.add("alice")
		h.must(h.store.Close())
		before := dirOf(t, h.file)
		h.wantSentence(CheckDatabase(ctx, h.file, "other.test"), "holds the accounts of example.test")
		if after := dirOf(t, h.file); after != before {
			t.Errorf("it left %s, was %s", after, before)
		}
		_, err := Reach(ctx, Target{Database: h.file}, other(h), deps)
		h.wantSentence(err, "holds the accounts of example.test")
		o, err := Reach(ctx, Target{Database: h.file}, h.config, deps)
		h.must(err)
		h.must(o.Close())
		h.open()
	})
	t.Run("a database from before is taken to be of the first server that starts", func(t *testing.T) {
		h := newHouse(t)
		h.add("alice")
		h.sql("DELETE FROM homeserver")
		if _, err := New(h.core, other(h), deps); err != nil {
			t.Errorf("nobody can know: %v", err)
		}
		h.server.Start()
		h.server.Stop()
		_, err := New(h.core, other(h), deps)
		h.wantSentence(err, "holds the accounts of example.test")
	})
	t.Run("what is no database says nothing", func(t *testing.T) {
		for name, make := range map[string]func(path string) error{
			"absent": func(string) error { return nil },
			"text":   func(path string) error { return os.WriteFile(path, []byte("hello"), 0o600) },
			"empty":  func(path string) error { return os.WriteFile(path, nil, 0o600) },
			"folder": func(path string) error { return os.Mkdir(path, 0o700) },
			"link":   func(path string) error { return os.Symlink("elsewhere", path) },
		} {
			path := filepath.Join(t.TempDir(), "auth.db")
			if err := errors.Join(make(path), CheckDatabase(ctx, path, "other.test")); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("another name in the same transaction", func(t *testing.T) {
		h := newHouse(t)
		h.add("alice")
		err := h.store.Update(ctx, func(tx *store.Tx) error { return tx.Claim("other.test") })
		h.wantSentence(err, "holds the accounts of example.test")
	})
}

// dirOf lists the names beside a file.
func dirOf(t *testing.T, file string) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// isRefused reports whether an operation was refused for a reason that the operator can mend, as opposed to a failure.
func isRefused(err error) bool {
	var e *model.Error
	return errors.As(err, &e) && e.Kind() != model.Internal && e.Kind() != model.Unavailable
}
