package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// crowded is a store that many fill.
type crowded struct {
	*Store
	t   *testing.T
	now time.Time
	n   int
}

func newCrowded(t *testing.T) *crowded {
	c := &crowded{t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	c.Store = openAt(t, &c.now)
	return c
}

// ask has a network make so many requests, each with a state of some length, and gives their ids.
func (c *crowded) ask(network string, count, length int) (ids []string) {
	c.t.Helper()
	update(c.t, c.Store, func(tx *Tx) error {
		for range count {
			c.n++
			a := model.Authorization{
				ID: fmt.Sprint("request", c.n), ClientID: "app", Network: network, CreatedAt: tx.Now.Add(time.Duration(c.n)), ExpiresAt: tx.Now.Add(time.Hour),
				Request: model.Request{Delivery: model.Delivery{Redirect: model.Redirect{State: strings.Repeat("s", length)}}},
			}
			if err := tx.InsertAuthorization(a); err != nil {
				return err
			}
			ids = append(ids, a.ID)
		}
		return nil
	})
	return ids
}

// show shows requests to browsers, and gives them back.
func (c *crowded) show(ids []string) []string {
	c.t.Helper()
	update(c.t, c.Store, func(tx *Tx) error {
		for _, id := range ids {
			a, err := tx.Authorization(id)
			if err != nil {
				return err
			}
			if err := tx.ShowAuthorization(a); err != nil {
				return err
			}
		}
		return nil
	})
	return ids
}

// left counts which of some requests are there.
func (c *crowded) left(ids []string) (n int) {
	c.t.Helper()
	update(c.t, c.Store, func(tx *Tx) error {
		for _, id := range ids {
			if _, err := tx.Authorization(id); err == nil {
				n++
			}
		}
		return nil
	})
	return n
}

func (c *crowded) weight(kind crowd) (n int64) {
	c.t.Helper()
	if err := c.reader.QueryRow(kind.weigh).Scan(&n); err != nil {
		c.t.Fatal(err)
	}
	return n
}

func (c *crowded) wantAll(what string, ids []string) {
	c.t.Helper()
	if left := c.left(ids); left != len(ids) {
		c.t.Errorf("of %d requests %s %d are left", len(ids), what, left)
	}
}

// TestRoomForRequests: requests that nobody approved are bounded in sum. Who makes them in masses crowds out
// themselves, and nobody who has a page before their eyes (ENUM-4).
func TestRoomForRequests(t *testing.T) {
	const plenty = 12_000
	t.Run("one_network_floods", func(t *testing.T) {
		c := newCrowded(t)
		old, shown := c.ask("192.0.2.1", 5, 100), c.show(c.ask("192.0.2.2", 5, 100))
		c.ask("203.0.113.1", plenty, 100)
		if w := c.weight(waitingCrowd); w > bound.WaitingRequests || w < bound.WaitingRequests*9/10 {
			t.Errorf("they weigh %d", w)
		}
		newest := c.ask("192.0.2.3", 1, 100)
		c.ask("203.0.113.1", 1000, 100)
		c.wantAll("of a moment ago", newest)
		c.wantAll("of others", old)
		c.wantAll("that were shown", shown)
	})
	t.Run("it_has_all_of_them_shown", func(t *testing.T) {
		c := newCrowded(t)
		old, shown := c.ask("192.0.2.1", 5, 100), c.show(c.ask("192.0.2.2", 5, 100))
		for range plenty / 100 {
			c.show(c.ask("203.0.113.1", 100, 100))
		}
		c.wantAll("of others", old)
		c.wantAll("that were shown", shown)
		var marks int
		if err := c.reader.QueryRow("SELECT COUNT(*) FROM authorizations WHERE network = '203.0.113.1' AND shown_at IS NOT NULL").Scan(&marks); err != nil || marks != bound.ShownRequests {
			t.Errorf("%d count as shown, want %d: %v", marks, bound.ShownRequests, err)
		}
	})
	t.Run("a_hundred_networks_flood", func(t *testing.T) {
		c := newCrowded(t)
		old, shown := c.ask("192.0.2.1", 5, 100), c.show(c.ask("192.0.2.2", 20, 100))
		for i := range plenty / 50 {
			c.show(c.ask(fmt.Sprintf("203.0.113.%d", i%100), 50, 100))
		}
		c.wantAll("of others", old)
		c.wantAll("that were shown", shown)
	})
	t.Run("thousands_of_networks_with_less_each", func(t *testing.T) {
		c := newCrowded(t)
		shown := c.show(c.ask("192.0.2.2", bound.ShownRequests, 100))
		for i := range plenty / 3 {
			c.ask(fmt.Sprint("network", i), 3, 100)
		}
		c.wantAll("that were shown", shown)
	})
	t.Run("big_ones_weigh_more", func(t *testing.T) {
		c := newCrowded(t)
		small := c.ask("192.0.2.1", 100, 100)
		c.ask("203.0.113.1", 3000, 4000)
		if w := c.weight(waitingCrowd); w > bound.WaitingRequests {
			t.Errorf("they weigh %d", w)
		}
		c.wantAll("of small size", small)
	})
	t.Run("what_is_over_goes_first", func(t *testing.T) {
		c := newCrowded(t)
		c.ask("203.0.113.1", plenty, 100)
		c.now = c.now.Add(time.Hour + time.Second)
		mine := c.ask("192.0.2.1", 3000, 100)
		c.wantAll("that are not over", mine)
		if w := c.weight(waitingCrowd); w > int64(len(mine))*(rowWeight+1000) {
			t.Errorf("they weigh %d", w)
		}
	})
	t.Run("nothing_but_shown_ones_is_left", func(t *testing.T) {
		c := newCrowded(t)
		mine := c.show(c.ask("192.0.2.1", 2, 4000))
		for i := range 150 {
			for range bound.ShownRequests {
				c.show(c.ask(fmt.Sprint("network", i), 1, 4000))
			}
		}
		if w := c.weight(waitingCrowd); w > bound.WaitingRequests {
			t.Errorf("they weigh %d", w)
		}
		c.wantAll("of who has least", mine)
	})
}

// TestRoomForRegistrations: registrations to which nobody consented are bounded in the same way.
func TestRoomForRegistrations(t *testing.T) {
	c := newCrowded(t)
	register := func(network, name string, count int) {
		t.Helper()
		update(t, c.Store, func(tx *Tx) error {
			for i := range count {
				id := fmt.Sprint(name, i)
				m := model.ClientMetadata{URI: "https://example.com", Name: strings.Repeat("n", 3000)}
				if err := tx.InsertClient(model.Client{ID: id, CreatedAt: tx.Now, Network: network, Metadata: m}, model.HashToken(id)); err != nil {
					return err
				}
			}
			return nil
		})
		c.now = c.now.Add(time.Second)
	}
	register("203.0.113.1", "proven", 1)
	update(t, c.Store, func(tx *Tx) error { return tx.ProveClient("proven0") })
	register("203.0.113.1", "asked", 1)
	register("203.0.113.1", "held", 1)
	register("203.0.113.1", "flood", 10)
	register("192.0.2.1", "mine", 2)
	update(t, c.Store, func(tx *Tx) error {
		for _, id := range []string{"held0", "proven0"} {
			if err := tx.HoldClient(id, "192.0.2.9"); err != nil {
				return err
			}
		}
		a := model.Authorization{ID: "request", ClientID: "asked0", Network: "192.0.2.7", CreatedAt: tx.Now, ExpiresAt: tx.Now.Add(time.Hour)}
		if err := tx.InsertAuthorization(a); err != nil {
			return err
		}
		return tx.ShowAuthorization(a)
	})
	register("203.0.113.1", "more", 8000)
	if w := c.weight(unprovenCrowd); w > bound.UnprovenClients || w < bound.UnprovenClients*9/10 {
		t.Errorf("they weigh %d", w)
	}
	want := []string{"proven0", "asked0", "held0", "mine0", "mine1"}
	if got := clientsOf(t, c.Store, append(want, "flood0", "flood9")...); len(got) != len(want) {
		t.Errorf("left are %q, want %q", got, want)
	}
	if proven := network(t, c, "proven0"); proven != "" {
		t.Errorf("a client that somebody trusts keeps the network %q", proven)
	}
}

func network(t *testing.T, c *crowded, id string) (network string) {
	t.Helper()
	update(t, c.Store, func(tx *Tx) error {
		found, err := tx.Client(id)
		network = found.Network
		return err
	})
	return network
}

// TestAnsweredAreBounded: of a user who approves again and again the last requests are kept, and no network.
func TestAnsweredAreBounded(t *testing.T) {
	c := newCrowded(t)
	ids := c.ask("192.0.2.1", bound.AnsweredRequests+10, 100)
	update(t, c.Store, func(tx *Tx) error {
		for _, user := range []string{"alice", "bob"} {
			if err := addUser(tx, user); err != nil {
				return err
			}
		}
		for i, id := range ids {
			user := "alice"
			if i == 0 {
				user = "bob"
			}
			first, err := tx.ApproveAuthorization(model.Authorization{
				ID: id, UserID: user, CodeHash: model.HashToken(id), CodeExpiresAt: tx.Now.Add(time.Duration(i) * time.Second), ExpiresAt: tx.Now.Add(time.Hour),
			})
			if err != nil || !first {
				return fmt.Errorf("%v: %w", first, err)
			}
		}
		a, err := tx.Authorization(ids[len(ids)-1])
		if err == nil && a.Network != "" {
			t.Errorf("an approved request keeps the network %q", a.Network)
		}
		return err
	})
	if left := c.left(ids); left != bound.AnsweredRequests+1 {
		t.Errorf("%d are left, want %d", left, bound.AnsweredRequests+1)
	}
	c.wantAll("that were answered last, or by another", append([]string{ids[0]}, ids[len(ids)-bound.AnsweredRequests:]...))
}

// TestTextIsNotForHTML: what a stranger writes takes no more room in a row than it has to.
func TestTextIsNotForHTML(t *testing.T) {
	c := newCrowded(t)
	update(t, c.Store, func(tx *Tx) error {
		return tx.InsertAuthorization(model.Authorization{ID: "a", CreatedAt: tx.Now, ExpiresAt: tx.Now, Request: model.Request{Delivery: model.Delivery{Redirect: model.Redirect{State: strings.Repeat("<", 100)}}}})
	})
	update(t, c.Store, func(tx *Tx) error {
		return tx.InsertClient(model.Client{ID: "b", CreatedAt: tx.Now, Metadata: model.ClientMetadata{
			Name: strings.Repeat("<", 100), Localized: map[string]string{"client_name#de": strings.Repeat("&", 100)},
		}}, model.TokenHash{})
	})
	for query, text := range map[string]string{
		"SELECT delivery FROM authorizations": strings.Repeat("<", 100),
		"SELECT metadata FROM clients":        strings.Repeat("<", 100),
		`SELECT metadata FROM clients --`:     strings.Repeat("&", 100),
	} {
		var row string
		if err := c.reader.QueryRow(query).Scan(&row); err != nil || !strings.Contains(row, text) || strings.Contains(row, `\u00`) {
			t.Errorf("the row is %s: %v", row, err)
		}
	}
}

// BenchmarkInsertAuthorization is the cost of one more request where there are none and where there is no room.
func BenchmarkInsertAuthorization(b *testing.B) {
	for _, full := range []bool{false, true} {
		b.Run(fmt.Sprintf("full_%v", full), func(b *testing.B) {
			t := &testing.T{}
			s, err := Open(b.Context(), Options{Path: b.TempDir() + "/test.db", Create: true})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			c := &crowded{t: t, Store: s}
			if full {
				c.ask("203.0.113.1", 12_000, 100)
			}
			for b.Loop() {
				c.ask("203.0.113.1", 1, 100)
				if !full {
					update(t, s, func(tx *Tx) error { _, err := tx.exec("DELETE FROM authorizations"); return err })
				}
			}
		})
	}
}
