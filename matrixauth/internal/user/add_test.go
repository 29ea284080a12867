package user_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// tryAdd judges and adds an account, which must agree.
func tryAdd(h *house.House, n matrixauth.NewUser) error {
	h.T.Helper()
	n.Password = house.AlicesPassword
	_, judged := matrixauth.CheckNewUser.Do(h.T.Context(), h.Ops, n)
	_, err := matrixauth.AddUser.Do(h.T.Context(), h.Ops, n)
	if (judged == nil) != (err == nil) || judged != nil && judged.Error() != err.Error() {
		h.T.Errorf("judged %v, added %v", judged, err)
	}
	return err
}

// TestAddUser: a name is given out, or taken over, by the homeserver's word alone; without it only by the
// operator's (CREATE-5).
func TestAddUser(t *testing.T) {
	unasked := map[string]struct {
		begin func(*house.House)
		says  []string
	}{
		"stopped":            {func(h *house.House) { h.Fake.Stop() }, []string{"cannot be asked", "see that it runs"}},
		"behind a proxy":     {func(h *house.House) { h.Fake.Fail(http.StatusBadGateway, "") }, []string{"cannot be asked", "502"}},
		"internal error":     {func(h *house.House) { h.Fake.Fail(http.StatusInternalServerError, "M_UNKNOWN") }, []string{"cannot be asked", "500"}},
		"limits":             {func(h *house.House) { h.Fake.Fail(http.StatusTooManyRequests, "M_LIMIT_EXCEEDED") }, []string{"cannot be asked", "429"}},
		"other secret":       {func(h *house.House) { h.Fake.Fail(http.StatusForbidden, "M_UNKNOWN") }, []string{"refuses our secret", "403", "synapse-config"}},
		"proxy says no":      {func(h *house.House) { h.Fake.Fail(http.StatusForbidden, "") }, []string{"something in front of it", "refuses our secret"}},
		"without delegation": {func(h *house.House) { serveFake(h, fake.Config{NoDelegation: true}) }, []string{"Synapse 1.163.2", "does not delegate its logins to us yet", "synapse-config"}},
		"too old":            {func(h *house.House) { serveFake(h, fake.Config{Version: homeserver.Version{Major: 1, Minor: 120}}) }, []string{"Synapse 1.120.0", "too old", "1.136.0"}},
		"no Synapse":         {func(h *house.House) { h.Fake.Fail(http.StatusNotFound, "") }, []string{"not a Synapse that delegates", "client listener"}},
	}
	for name, outage := range unasked {
		t.Run(name, func(t *testing.T) {
			h := house.New(t)
			h.Fake.Seed(fake.User{Localpart: "bob"})
			before := h.Rows()
			outage.begin(h)
			for _, n := range []matrixauth.NewUser{{Localpart: "alice"}, {Localpart: "bob", Existing: true}} {
				err := tryAdd(h, n)
				h.WantSentence(err, append(outage.says, "--force", "@"+n.Localpart+":"+house.ServerName)...)
				if house.IsRefused(err) {
					t.Error("it counts as the operator's mistake")
				}
			}
			if after := h.Rows(); after != before {
				t.Errorf("something is left:\n%s", after)
			}
			for _, n := range []matrixauth.NewUser{{Localpart: "alice", Force: true}, {Localpart: "bob", Existing: true, Force: true}} {
				h.Must(func() error {
					n.Password = house.AlicesPassword
					_, err := matrixauth.AddUser.Do(t.Context(), h.Ops, n)
					return err
				}())
			}
		})
	}
	t.Run("taken at the homeserver", func(t *testing.T) {
		h := house.New(t)
		h.Fake.Seed(fake.User{Localpart: "bob"})
		for _, force := range []bool{false, true} {
			h.WantSentence(tryAdd(h, matrixauth.NewUser{Localpart: "bob", Force: force}), "has an account @bob:example.test already", "--existing")
		}
		house.Act(h, matrixauth.AddUser, matrixauth.NewUser{Localpart: "bob", Password: house.AlicesPassword, Existing: true})
		h.LoginOn("bob", "PHONE")
	})
	t.Run("not there", func(t *testing.T) {
		h := house.New(t)
		for _, force := range []bool{false, true} {
			h.WantSentence(tryAdd(h, matrixauth.NewUser{Localpart: "bobb", Existing: true, Force: force}), "no account @bobb:example.test", "leave --existing out")
		}
	})
	t.Run("an application service's", func(t *testing.T) {
		h := house.New(t)
		h.WantSentence(tryAdd(h, matrixauth.NewUser{Localpart: "bridge_x", Force: true}), "application service")
	})
	t.Run("deactivated at the homeserver", func(t *testing.T) {
		h := house.New(t)
		h.Fake.Seed(fake.User{Localpart: "bob", Deactivated: true})
		h.WantSentence(tryAdd(h, matrixauth.NewUser{Localpart: "bob", Existing: true}), "has deactivated the account @bob:example.test", "--force", "user reactivate")
		h.WantSentence(tryAdd(h, matrixauth.NewUser{Localpart: "bob", Existing: true, Force: true, Email: "bob@example.org"}), "no mail address")
		if added := house.Act(h, matrixauth.AddUser, matrixauth.NewUser{Localpart: "bob", Password: house.AlicesPassword, Existing: true, Force: true}); added.State != "deactivated" {
			t.Errorf("it is %s", added.State)
		}
		house.Act(h, matrixauth.ReactivateUser, matrixauth.Name{User: "bob"})
		h.Settle()
		h.LoginOn("bob", "PHONE")
	})
	t.Run("another server name", func(t *testing.T) {
		h := house.New(t)
		serveFake(h, fake.Config{ServerName: "other.test"}, fake.User{Localpart: "bob"})
		for _, force := range []bool{false, true} {
			err := tryAdd(h, matrixauth.NewUser{Localpart: "bob", Existing: true, Force: force})
			h.WantSentence(err, "another server_name", "other.test", "Caddyfile")
			if strings.Contains(err.Error(), "--force") {
				t.Errorf("force is offered: %v", err)
			}
		}
	})
	t.Run("another server name, before there is anybody", func(t *testing.T) {
		h := house.New(t)
		serveFake(h, fake.Config{ServerName: "other.test", Keys: true})
		for _, force := range []bool{false, true} {
			h.WantSentence(tryAdd(h, matrixauth.NewUser{Localpart: "alice", Force: force}), `it is "other.test", the configuration says "example.test"`)
		}
		serveFake(h, fake.Config{Keys: true})
		house.Act(h, matrixauth.AddUser, matrixauth.NewUser{Localpart: "alice", Password: house.AlicesPassword})
	})
	t.Run("ours already", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		h.Fake.Stop() // what we know ourselves is said first
		h.WantSentence(tryAdd(h, matrixauth.NewUser{Localpart: "alice"}), "@alice:example.test is here already (active)", "user set-password")
		h.WantSentence(tryAdd(h, matrixauth.NewUser{Localpart: "@alice:example.test", Existing: true, Force: true}), "is here already")
		house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "alice"}})
		h.WantSentence(tryAdd(h, matrixauth.NewUser{Localpart: "alice"}), "(deactivated)", "user reactivate")
	})
	t.Run("what it is made of", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "alice"}, Email: "alice@example.org"})
		for _, n := range []matrixauth.NewUser{
			{Localpart: "Bob"}, {Localpart: "@bob:other.test"}, {Localpart: "bob", Email: "bob"}, {Localpart: "bob", Email: "ALICE@example.org"},
			{Localpart: "bob", DisplayName: strings.Repeat("é", 257)},
		} {
			if err := tryAdd(h, n); err == nil || !house.IsRefused(err) {
				t.Errorf("%+v: %v", n, err)
			}
		}
		if added := house.Act(h, matrixauth.AddUser, matrixauth.NewUser{Localpart: "@bob:EXAMPLE.test", Password: house.AlicesPassword, DisplayName: strings.Repeat("é", 256)}); added.MatrixID != "@bob:example.test" {
			t.Errorf("it is %s", added.MatrixID)
		}
		h.Settle()
		if len(h.SetAside()) != 0 {
			t.Error("the homeserver refused it")
		}
	})
}

// serveFake puts another homeserver in the place of the house's.
func serveFake(h *house.House, c fake.Config, users ...fake.User) {
	c.Secret = house.SharedKey
	if c.ServerName == "" {
		c.ServerName = house.ServerName
	}
	other := fake.New(c)
	for _, u := range users {
		other.Seed(u)
	}
	h.Fake.Intercept(other.ServeHTTP)
}

// TestPasswordIsText: a password that no client could ever send is refused (PW-5).
func TestPasswordIsText(t *testing.T) {
	h := house.New(t)
	for _, clear := range []string{"correct \x00 horse", "correct \xff horse"} {
		if _, err := h.Wiring.Users.HashPassword(t.Context(), clear); !errors.Is(err, model.InvalidPassword) {
			t.Errorf("%q: %v", clear, err)
		}
	}
}

// TestNames: wherever an operator names a user, the case does not matter and a full Matrix id will do.
func TestNames(t *testing.T) {
	h := house.New(t)
	h.Add("alice")
	for _, name := range []string{"alice", "ALICE", "@alice:example.test", "@Alice:Example.Test"} {
		if u := house.Act(h, matrixauth.ShowUser, matrixauth.Name{User: name}); u.Localpart != "alice" {
			t.Errorf("%s is %s", name, u.Localpart)
		}
		if u := house.Act(h, matrixauth.LockUser, matrixauth.Name{User: name}); u.State != "locked" {
			t.Errorf("%s is %s", name, u.State)
		}
		house.Act(h, matrixauth.UnlockUser, matrixauth.Name{User: name})
		house.Act(h, matrixauth.EndSessions, matrixauth.SessionsToEnd{User: name})
		house.Act(h, matrixauth.ListConsents, matrixauth.Name{User: name})
		house.Act(h, matrixauth.IssueToken, matrixauth.NewToken{Name: matrixauth.Name{User: name}})
	}
	for name, says := range map[string]string{
		"@alice:other.test": "of another server", "bob": "no account @bob:example.test", "@": "no account", "": "no account",
	} {
		_, err := matrixauth.ShowUser.Do(t.Context(), h.Ops, matrixauth.Name{User: name})
		h.WantSentence(err, says)
	}
}
