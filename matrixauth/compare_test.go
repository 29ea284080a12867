package matrixauth

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/operate"
)

// compare compares all accounts and says the differences in short.
func (h *house) compare() (found []string, all []Difference) {
	h.t.Helper()
	for after := ""; ; {
		part := act(h, CompareAccounts, Comparison{After: after})
		for _, d := range part.Differences {
			found = append(found, strings.TrimSpace(fmt.Sprintf("%s %s %s", d.User, d.Kind, d.DeviceID)))
			all = append(all, d)
		}
		if after = part.Next; after == "" {
			slices.Sort(found)
			return found, all
		}
	}
}

func (h *house) wantDifferences(want ...string) []Difference {
	h.t.Helper()
	got, all := h.compare()
	if !slices.Equal(got, want) {
		h.t.Fatalf("the differences are %q, want %q", got, want)
	}
	for _, d := range all {
		f := DifferenceFinding(d)
		if f.What == "" || f.Check == "" || !f.OK && (f.Where == "" || f.Change == "") {
			h.t.Errorf("it does not say what is wrong, where and what to do: %+v", f)
		}
	}
	return all
}

// mended has the differences mended that are certain, and gives why others were not.
func (h *house) mended(all []Difference) (refusals []string) {
	h.t.Helper()
	for _, d := range all {
		if m := act(h, MendDifference, d); !m.Done {
			refusals = append(refusals, m.Why)
		}
	}
	h.settle()
	return refusals
}

// TestCompareAccounts: where the homeserver and we disagree is found, and nothing else is.
func TestCompareAccounts(t *testing.T) {
	t.Run("both sides agree", func(t *testing.T) {
		h, _ := household(t, "alice", "bob", "locked", "gone")
		act(h, LockUser, Name{User: "locked"})
		act(h, DeactivateUser, Deactivation{Name: Name{User: "gone"}})
		act(h, SetAdmin, AdminRight{Name: Name{User: "alice"}, Admin: true})
		id := h.register("client", "")
		h.tokens(h.exchange(id, h.signedInAs("alice").consent(params(id, "scope", model.ScopeAPI+" "+model.ScopeSynapseAdmin))))
		h.settle()
		before := h.rows()
		h.wantDifferences()
		if h.rows() != before {
			t.Error("the comparison has changed something")
		}
	})
	t.Run("each kind, and what is mended", func(t *testing.T) {
		h, _ := household(t, "alice", "bob", "carol", "dave", "erin", "frank", "grace")
		gone := h.loginOn("alice", "GONE")
		h.logout(gone.AccessToken).want(t, http.StatusOK, "")
		act(h, DeactivateUser, Deactivation{Name: Name{User: "erin"}})
		h.settle()
		h.clock.Move(time.Minute)
		h.fake.AddDevice("alice", "BRIDGE")
		h.fake.AddDevice("alice", "GONE") // as after a restore
		h.fake.DeleteDevices("bob", "BOB")
		h.fake.Deactivate("carol")
		h.fake.Lock("dave", true)
		h.must(h.fake.Client().ReactivateUser(t.Context(), "erin"))
		h.fake.Remove("frank")
		all := h.wantDifferences(
			"alice device_without_session BRIDGE", "alice device_without_session GONE", "bob session_without_device BOB",
			"carol deactivated_at_homeserver_only", "dave locked_at_homeserver_only", "erin deactivated_here_only", "frank unknown_at_homeserver",
		)
		// Frank's account is gone from the homeserver: so is what was made about bob's time, for all we know.
		why := h.mended(all)
		if len(why) != 4 || !slices.ContainsFunc(why, func(s string) bool { return strings.Contains(s, "restore") }) {
			t.Fatalf("not mended: %q", why)
		}
		h.wantSessions("bob", "BOB")
		// Frank's session has no device now, and his app is to say so before anything ends.
		all = h.wantDifferences("alice device_without_session BRIDGE", "bob session_without_device BOB", "dave locked_at_homeserver_only",
			"erin deactivated_here_only", "frank session_without_device FRANK")
		if state := h.state("carol"); state != "deactivated" {
			t.Errorf("carol is %s", state)
		}
		h.wantDevices("alice", "ALICE", "BRIDGE")
		act(h, EndSessions, SessionsToEnd{User: "frank"})
		h.settle()
		if why := h.mended(all); len(why) != 3 { // frank's session has ended, as it should
			t.Errorf("not mended: %q", why)
		}
		h.wantSessions("bob")
		act(h, LockUser, Name{User: "dave"})
		act(h, DeactivateUser, Deactivation{Name: Name{User: "erin"}})
		h.settle()
		h.wantDifferences("alice device_without_session BRIDGE")
	})
	t.Run("a bridge's device, one taken over, and one whose session began again are no device of a session that ended", func(t *testing.T) {
		h, _ := household(t, "alice")
		h.loginOn("alice", "ALICE")
		h.loginOn("alice", "TWICE")
		s := h.loginOn("alice", "TWICE")
		h.fake.AddDevice("alice", "BRIDGE")
		h.wantDifferences("alice device_without_session BRIDGE")
		forged := Difference{Kind: "device_without_session", User: "alice", UserID: h.userID("alice"), DeviceID: "TWICE", Certain: true}
		for _, device := range []string{"ALICE", "TWICE", "BRIDGE", "NONE"} {
			forged.DeviceID = device
			act(h, MendDifference, forged)
		}
		h.settle()
		h.wantDevices("alice", "ALICE", "BRIDGE", "TWICE")
		h.wantActive(s.AccessToken, "TWICE")
	})
	t.Run("what is on its way to the homeserver is left out", func(t *testing.T) {
		h, sessions := household(t, "alice", "bob")
		h.tap.refuseAll("")
		h.fake.Fail(http.StatusBadGateway, "")
		h.logout(sessions["alice"].AccessToken).want(t, http.StatusOK, "")
		h.fake.Recover()
		part := act(h, CompareAccounts, Comparison{})
		if part.Compared != 2 || part.Waiting != 1 || len(part.Differences) != 0 {
			t.Errorf("got %+v", part)
		}
		h.settle()
		h.wantDifferences()
	})
	// Something happens between the calls by which the homeserver is read, or after the last.
	for name, op := range map[string]string{"between the calls": "@alice:" + serverName, "after them": "devices"} {
		during := func(h *house, f func()) {
			t.Helper()
			once := false
			h.tap.set(func(called string) {
				if called == op && !once {
					once = true
					f()
				}
			})
			h.wantDifferences()
			if !once {
				t.Fatal("the homeserver was not read so")
			}
		}
		t.Run("a login "+name, func(t *testing.T) {
			h, _ := household(t, "alice")
			during(h, func() { h.loginOn("alice", "NEW"); h.clock.Move(time.Minute) })
		})
		t.Run("a logout "+name, func(t *testing.T) {
			h, sessions := household(t, "alice")
			during(h, func() { h.logout(sessions["alice"].AccessToken) })
		})
		t.Run("a job is done "+name, func(t *testing.T) {
			h, sessions := household(t, "alice")
			h.fake.Fail(http.StatusBadGateway, "")
			h.logout(sessions["alice"].AccessToken).want(t, http.StatusOK, "")
			h.fake.Recover()
			h.tap.set(func(called string) {
				if called == op {
					h.pass()
				}
			})
			h.wantDifferences() // nothing is read while it waits
		})
	}
	t.Run("many accounts are read part by part, in the name of one that the homeserver knows", func(t *testing.T) {
		var names []string
		for i := range operate.ComparedAtOnce + 5 {
			names = append(names, fmt.Sprintf("u%03d", i))
		}
		h := newHouse(t, unlimited)
		h.add(names...)
		h.settle()
		h.fake.Remove("u000")
		h.fake.Remove(names[len(names)-1])
		h.wantDifferences("u000 unknown_at_homeserver", names[len(names)-1]+" unknown_at_homeserver")
	})
	t.Run("a homeserver that cannot be read is an error, and no difference", func(t *testing.T) {
		h, _ := household(t, "alice")
		h.fake.AskAt("http://127.0.0.1:9/")
		if _, err := CompareAccounts.Do(t.Context(), h.ops, Comparison{}); err == nil {
			t.Error("it was compared")
		}
		h.fake.Stop()
		if _, err := CompareAccounts.Do(t.Context(), h.ops, Comparison{}); err == nil {
			t.Error("it was compared")
		}
	})
	t.Run("nobody is there", func(t *testing.T) {
		h := newHouse(t)
		h.wantDifferences()
	})
}
