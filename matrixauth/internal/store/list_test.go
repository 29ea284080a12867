package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// wantList compares what was listed with names, in this order.
func wantList(t *testing.T, what string, got []string, want string) {
	t.Helper()
	if strings.Join(got, " ") != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestListAccounts(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := openAt(t, &now)
	update(t, s, func(tx *Tx) error {
		for _, u := range []model.User{
			{ID: "1", Localpart: "dora", DeactivatedAt: now, LockedAt: now}, {ID: "2", Localpart: "carl", LockedAt: now},
			{ID: "3", Localpart: "bert", Admin: true}, {ID: "4", Localpart: "anna"}, {ID: "5", Localpart: "zoé"},
		} {
			u.CreatedAt = now
			if err := tx.InsertUser(u); err != nil {
				return err
			}
		}
		for i, address := range []string{"second@example.test", "first@example.test"} {
			if err := tx.InsertEmail(model.Email{ID: fmt.Sprint(i), UserID: "4", Address: address, Key: address, CreatedAt: now.Add(-time.Duration(i) * time.Second)}); err != nil {
				return err
			}
		}
		for _, id := range []string{"s1", "s2", "s3"} {
			if err := tx.InsertSession(model.Session{ID: id, Kind: model.CompatSession, UserID: "4", DeviceID: id, CreatedAt: now}); err != nil {
				return err
			}
		}
		return tx.EndSession("s3", model.EndLogout)
	})
	for name, test := range map[string]struct {
		filter AccountFilter
		want   string
	}{
		"all":                 {AccountFilter{Limit: 9}, "anna bert carl dora zoé"},
		"a page":              {AccountFilter{Limit: 2}, "anna bert"},
		"the next":            {AccountFilter{After: "bert", Limit: 2}, "carl dora"},
		"behind the last":     {AccountFilter{After: "zoé", Limit: 2}, ""},
		"one":                 {AccountFilter{ID: "3", Limit: 9}, "bert"},
		"nobody":              {AccountFilter{ID: "6", Limit: 9}, ""},
		"active":              {AccountFilter{State: "active", Limit: 9}, "anna bert zoé"},
		"locked":              {AccountFilter{State: "locked", Limit: 9}, "carl"},
		"deactivated":         {AccountFilter{State: "deactivated", Limit: 9}, "dora"},
		"administrators":      {AccountFilter{Admin: true, Limit: 9}, "bert"},
		"active, not admin":   {AccountFilter{State: "locked", Admin: true, Limit: 9}, ""},
		"by name":             {AccountFilter{Prefix: "b", Limit: 9}, "bert"},
		"by the whole name":   {AccountFilter{Prefix: "zoé", Limit: 9}, "zoé"},
		"by address":          {AccountFilter{Prefix: "first@", Limit: 9}, "anna"},
		"by what is no start": {AccountFilter{Prefix: "ert", Limit: 9}, ""},
	} {
		update(t, s, func(tx *Tx) error {
			accounts, err := tx.Accounts(test.filter)
			var names []string
			for _, a := range accounts {
				names = append(names, a.Localpart)
			}
			wantList(t, name, names, test.want)
			return err
		})
	}
	update(t, s, func(tx *Tx) error {
		all, err := tx.Accounts(AccountFilter{Limit: 2})
		if err != nil {
			return err
		}
		wantList(t, "the addresses, oldest first", all[0].Emails, "first@example.test second@example.test")
		if all[0].Sessions != 2 || all[1].Sessions != 0 || all[1].Emails != nil {
			t.Errorf("got %+v", all)
		}
		for _, want := range []bool{true, false} {
			there, err := tx.DeleteEmail("4", "1")
			if err != nil || there != want {
				t.Errorf("the address was there: %v, %v", there, err)
			}
		}
		if there, err := tx.DeleteEmail("3", "0"); err != nil || there {
			t.Errorf("somebody else's address was there: %v", err)
		}
		active, err := tx.ActiveUsers(2)
		if err != nil || len(active) != 2 || active[0].Localpart != "bert" || active[1].Localpart != "anna" {
			t.Errorf("active are %+v, %v", active, err)
		}
		p, err := tx.Population()
		if p.Active != 3 || p.Locked != 1 || p.Deactivated != 1 || p.Sessions[model.CompatSession] != 2 || p.Sessions[model.OAuthSession] != 0 {
			t.Errorf("the population is %+v", p)
		}
		return err
	})
}

func TestListSessions(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := openAt(t, &now)
	update(t, s, func(tx *Tx) error {
		for _, u := range []string{"alice", "bob"} {
			if err := addUser(tx, u); err != nil {
				return err
			}
		}
		for _, v := range []model.Session{
			{ID: "a1", Kind: model.CompatSession, UserID: "alice"}, {ID: "b3", Kind: model.OAuthSession, UserID: "alice", ClientID: "app"},
			{ID: "b4", Kind: model.OAuthSession, UserID: "bob", ClientID: "app"}, {ID: "b5", Kind: model.OAuthSession, UserID: "bob", ClientID: "other"},
		} {
			v.DeviceID, v.CreatedAt = v.ID, now
			if err := tx.InsertSession(v); err != nil {
				return err
			}
		}
		if err := tx.InsertBrowserSession(model.BrowserSession{ID: "b2", UserID: "alice", CreatedAt: now, AuthenticatedAt: now, LastActiveAt: now}, model.HashToken("b2")); err != nil {
			return err
		}
		return tx.EndSession("b4", model.EndLogout)
	})
	for name, test := range map[string]struct {
		filter SessionFilter
		want   string
	}{
		"all":               {SessionFilter{Limit: 9}, "a1 b2 b3 b4 b5"},
		"a page":            {SessionFilter{Limit: 2}, "a1 b2"},
		"the next":          {SessionFilter{After: "b2", Limit: 2}, "b3 b4"},
		"of a user":         {SessionFilter{UserID: "alice", Limit: 9}, "a1 b2 b3"},
		"of a client":       {SessionFilter{ClientID: "app", Limit: 9}, "b3 b4"},
		"live":              {SessionFilter{Live: true, Limit: 9}, "a1 b2 b3 b5"},
		"ended":             {SessionFilter{Ended: true, Limit: 9}, "b4"},
		"both":              {SessionFilter{Live: true, Ended: true, Limit: 9}, "a1 b2 b3 b4 b5"},
		"by their id":       {SessionFilter{Prefix: "b", Limit: 9}, "b2 b3 b4 b5"},
		"all of it at once": {SessionFilter{UserID: "bob", ClientID: "other", Live: true, Prefix: "b", After: "b4", Limit: 9}, "b5"},
	} {
		update(t, s, func(tx *Tx) error {
			found, err := tx.Sessions(test.filter)
			var ids []string
			for _, v := range found {
				ids = append(ids, v.ID)
				if v.Localpart != v.UserID || v.Browser != (v.ID == "b2") {
					t.Errorf("%s: %+v", name, v)
				}
			}
			wantList(t, name, ids, test.want)
			return err
		})
	}
	update(t, s, func(tx *Tx) error {
		live, err := tx.LiveSessionsOf("app")
		if err != nil || len(live) != 1 || live[0].ID != "b3" {
			t.Errorf("live of the client are %+v, %v", live, err)
		}
		return err
	})
}

// TestSessionsNear: those who signed in around somebody, one of each user, tell whether the homeserver lost devices of all.
func TestSessionsNear(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := openAt(t, &now)
	update(t, s, func(tx *Tx) error {
		there := map[string]bool{}
		for i, user := range []string{"a", "b", "b", "c", "me", "me", "d", "e", "d", "f", "g"} {
			if !there[user] {
				there[user] = true
				if err := addUser(tx, user); err != nil {
					return err
				}
			}
			v := model.Session{ID: fmt.Sprintf("%02d", i), Kind: model.CompatSession, UserID: user, DeviceID: fmt.Sprint(i), CreatedAt: now}
			if user == "e" {
				v.DeviceID = "" // of administration
			}
			if err := tx.InsertSession(v); err != nil {
				return err
			}
		}
		return tx.EndSession("09", model.EndLogout)
	})
	near := func(limit int, since time.Time) (ids []string) {
		t.Helper()
		update(t, s, func(tx *Tx) error {
			found, err := tx.SessionsNear(model.Session{ID: "04", UserID: "me"}, limit, since)
			for _, v := range found {
				ids = append(ids, v.ID)
			}
			return err
		})
		return ids
	}
	before := now.Add(-time.Second)
	wantList(t, "four on either side", near(4, before), "03 02 00 06 10")
	wantList(t, "one on either side", near(1, before), "03 06")
	wantList(t, "active after now", near(4, now), "")
}

func TestListClients(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := openAt(t, &now)
	update(t, s, func(tx *Tx) error {
		if err := addUser(tx, "alice"); err != nil {
			return err
		}
		for _, id := range []string{"c1", "c2"} {
			if err := tx.InsertClient(model.Client{ID: id, CreatedAt: now}, model.HashToken(id)); err != nil {
				return err
			}
			for i := range 2 {
				v := model.Session{ID: fmt.Sprint(id, i), Kind: model.OAuthSession, UserID: "alice", DeviceID: fmt.Sprint(id, i), ClientID: id, CreatedAt: now}
				if err := tx.InsertSession(v); err != nil {
					return err
				}
				if err := tx.InsertAuthorization(model.Authorization{ID: fmt.Sprint("request", id, i), ClientID: id, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}); err != nil {
					return err
				}
				if err := tx.SaveConsent(model.Consent{UserID: "alice", ClientID: id, RedirectURI: fmt.Sprint(i), Scope: "scope"}); err != nil {
					return err
				}
			}
		}
		return tx.EndSession("c20", model.EndLogout)
	})
	list := func(after string, limit int) (text []string) {
		t.Helper()
		update(t, s, func(tx *Tx) error {
			found, err := tx.Clients(after, limit)
			for _, c := range found {
				text = append(text, fmt.Sprintf("%s:%d", c.ID, c.Sessions))
			}
			return err
		})
		return text
	}
	wantList(t, "all", list("", 9), "c1:2 c2:1")
	wantList(t, "a page", list("", 1), "c1:2")
	wantList(t, "the next", list("c1", 9), "c2:1")
	for _, want := range []string{"true 2", "false 0"} {
		update(t, s, func(tx *Tx) error {
			there, consents, err := tx.DeleteClient("c1")
			if got := fmt.Sprint(there, consents); got != want {
				t.Errorf("deleted: %s, want %s", got, want)
			}
			return err
		})
	}
	wantList(t, "what is left", list("", 9), "c2:1")
	update(t, s, func(tx *Tx) error {
		if _, err := tx.Authorization("requestc10"); err == nil {
			t.Error("a request of the client is left")
		}
		if _, err := tx.Authorization("requestc20"); err != nil {
			t.Errorf("a request of another client: %v", err)
		}
		consents, err := tx.Consents("alice")
		if len(consents) != 2 || consents[0].ClientID != "c2" {
			t.Errorf("the consents are %+v", consents)
		}
		return err
	})
}

// TestClip: what a client says is cut at a number of bytes, and within no character.
func TestClip(t *testing.T) {
	most := strings.Repeat("a", bound.ClientText)
	for text, want := range map[string]string{
		"": "", "ä": "ä", most: most, most + "b": most, most[1:] + "ä": most[1:], "a\xffb": "ab",
	} {
		if got := clip(text); got != want {
			t.Errorf("%.20q of %d bytes: %d bytes, want %d", text, len(text), len(got), len(want))
		}
	}
}

// TestSpendCodes: what makes codes worthless leaves those of others, those that were used, and requests that nobody approved.
func TestSpendCodes(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		spend func(tx *Tx) error
		want  string
	}{
		"of a client":            {func(tx *Tx) error { return tx.SpendCodes("alice", "app") }, "app remembered"},
		"of a client, unasked":   {func(tx *Tx) error { return tx.SpendRememberedCodes("alice", "app") }, "remembered"},
		"all of them":            {func(tx *Tx) error { return tx.SpendAllCodes("alice") }, "app other remembered"},
		"of who has none":        {func(tx *Tx) error { return tx.SpendAllCodes("carol") }, ""},
		"of a client without it": {func(tx *Tx) error { return tx.SpendCodes("alice", "third") }, ""},
	} {
		s := openAt(t, &now)
		ids := []string{"app", "bob", "other", "remembered", "used", "waiting"}
		update(t, s, func(tx *Tx) error {
			for _, u := range []string{"alice", "bob"} {
				if err := addUser(tx, u); err != nil {
					return err
				}
			}
			for _, id := range ids {
				a := model.Authorization{ID: id, ClientID: "app", CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
				if id == "other" {
					a.ClientID = "other"
				}
				if err := tx.InsertAuthorization(a); err != nil {
					return err
				}
				if id == "waiting" {
					continue
				}
				a.UserID, a.CodeHash, a.AnswerHash, a.CodeExpiresAt, a.Remembered = "alice", model.HashToken(id), model.HashToken(id), now.Add(time.Minute), id == "remembered"
				if id == "bob" {
					a.UserID = "bob"
				}
				if ok, err := tx.ApproveAuthorization(a); err != nil || !ok {
					t.Fatalf("%s: %v, %v", id, ok, err)
				}
			}
			_, err := tx.ConsumeAuthorization("used", "")
			return err
		})
		now = now.Add(time.Second)
		update(t, s, test.spend)
		var spent []string
		update(t, s, func(tx *Tx) error {
			for _, id := range ids {
				a, err := tx.Authorization(id)
				if err != nil {
					return err
				}
				if a.ConsumedAt.Equal(now) {
					spent = append(spent, id)
				}
			}
			return nil
		})
		slices.Sort(spent)
		wantList(t, name, spent, test.want)
	}
}
