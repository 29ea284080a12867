package operate_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/operate"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// compare compares all accounts and says the differences in short.
func compare(h *house.House) (found []string, all []matrixauth.Difference) {
	h.T.Helper()
	for after := ""; ; {
		part := house.Act(h, matrixauth.CompareAccounts, matrixauth.Comparison{After: after})
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

func wantDifferences(h *house.House, want ...string) []matrixauth.Difference {
	h.T.Helper()
	got, all := compare(h)
	if !slices.Equal(got, want) {
		h.T.Fatalf("the differences are %q, want %q", got, want)
	}
	for _, d := range all {
		f := matrixauth.DifferenceFinding(d)
		if f.What == "" || f.Check == "" || !f.OK && (f.Where == "" || f.Change == "") {
			h.T.Errorf("it does not say what is wrong, where and what to do: %+v", f)
		}
	}
	return all
}

// mended has the differences mended that are certain, and gives why others were not.
func mended(h *house.House, all []matrixauth.Difference) (refusals []string) {
	h.T.Helper()
	for _, d := range all {
		if m := house.Act(h, matrixauth.MendDifference, d); !m.Done {
			refusals = append(refusals, m.Why)
		}
	}
	h.Settle()
	return refusals
}

// TestCompareAccounts: where the homeserver and we disagree is found, and nothing else is.
func TestCompareAccounts(t *testing.T) {
	t.Run("both sides agree", func(t *testing.T) {
		h, _ := house.Household(t, "alice", "bob", "locked", "gone")
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "locked"})
		house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "gone"}})
		house.Act(h, matrixauth.SetAdmin, matrixauth.AdminRight{Name: matrixauth.Name{User: "alice"}, Admin: true})
		id := h.Register("client", "")
		h.Tokens(h.Exchange(id, h.SignedInAs("alice").Consent(house.Params(id, "scope", model.ScopeAPI+" "+model.ScopeSynapseAdmin))))
		h.Settle()
		before := h.Rows()
		wantDifferences(h)
		if h.Rows() != before {
			t.Error("the comparison has changed something")
		}
	})
	t.Run("each kind, and what is mended", func(t *testing.T) {
		h, _ := house.Household(t, "alice", "bob", "carol", "dave", "erin", "frank", "grace")
		gone := h.LoginOn("alice", "GONE")
		h.Logout(gone.AccessToken).Want(t, http.StatusOK, "")
		house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "erin"}})
		h.Settle()
		h.Clock.Move(time.Minute)
		h.Fake.AddDevice("alice", "BRIDGE")
		h.Fake.AddDevice("alice", "GONE") // as after a restore
		h.Fake.DeleteDevices("bob", "BOB")
		h.Fake.Deactivate("carol")
		h.Fake.Lock("dave", true)
		h.Must(h.Fake.Client().ReactivateUser(t.Context(), "erin"))
		h.Fake.Remove("frank")
		all := wantDifferences(h,
			"alice device_without_session BRIDGE", "alice device_without_session GONE", "bob session_without_device BOB",
			"carol deactivated_at_homeserver_only", "dave locked_at_homeserver_only", "erin deactivated_here_only", "frank unknown_at_homeserver",
		)
		// Frank's account is gone from the homeserver: so is what was made about bob's time, for all we know.
		why := mended(h, all)
		if len(why) != 4 || !slices.ContainsFunc(why, func(s string) bool { return strings.Contains(s, "restore") }) {
			t.Fatalf("not mended: %q", why)
		}
		h.WantSessions("bob", "BOB")
		// Frank's session has no device now, and his app is to say so before anything ends.
		all = wantDifferences(h, "alice device_without_session BRIDGE", "bob session_without_device BOB", "dave locked_at_homeserver_only",
			"erin deactivated_here_only", "frank session_without_device FRANK")
		if state := h.State("carol"); state != "deactivated" {
			t.Errorf("carol is %s", state)
		}
		h.WantDevices("alice", "ALICE", "BRIDGE")
		house.Act(h, matrixauth.EndSessions, matrixauth.SessionsToEnd{User: "frank"})
		h.Settle()
		if why := mended(h, all); len(why) != 3 { // frank's session has ended, as it should
			t.Errorf("not mended: %q", why)
		}
		h.WantSessions("bob")
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "dave"})
		house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "erin"}})
		h.Settle()
		wantDifferences(h, "alice device_without_session BRIDGE")
	})
	t.Run("a bridge's device, one taken over, and one whose session began again are no device of a session that ended", func(t *testing.T) {
		h, _ := house.Household(t, "alice")
		h.LoginOn("alice", "ALICE")
		h.LoginOn("alice", "TWICE")
		s := h.LoginOn("alice", "TWICE")
		h.Fake.AddDevice("alice", "BRIDGE")
		wantDifferences(h, "alice device_without_session BRIDGE")
		forged := matrixauth.Difference{Kind: "device_without_session", User: "alice", UserID: h.UserID("alice"), DeviceID: "TWICE", Certain: true}
		for _, device := range []string{"ALICE", "TWICE", "BRIDGE", "NONE"} {
			forged.DeviceID = device
			house.Act(h, matrixauth.MendDifference, forged)
		}
		h.Settle()
		h.WantDevices("alice", "ALICE", "BRIDGE", "TWICE")
		h.WantActive(s.AccessToken, "TWICE")
	})
	t.Run("after the database went back a device may have a session that is forgotten", func(t *testing.T) {
		h, _ := house.Household(t, "alice")
		gone := h.LoginOn("alice", "GONE")
		h.Logout(gone.AccessToken).Want(t, http.StatusOK, "")
		h.Settle()
		h.Clock.Move(time.Minute)
		h.Must(h.Store.Update(t.Context(), func(tx *store.Tx) error { return tx.NoteWentBack(tx.Now) }))
		h.Fake.AddDevice("alice", "GONE")
		if why := mended(h, wantDifferences(h, "alice device_without_session GONE")); len(why) != 1 {
			t.Errorf("not mended: %q", why)
		}
		h.WantDevices("alice", "ALICE", "GONE")
	})
	t.Run("what is on its way to the homeserver is left out", func(t *testing.T) {
		h, sessions := house.Household(t, "alice", "bob")
		h.Tap.RefuseAll("")
		h.Fake.Fail(http.StatusBadGateway, "")
		h.Logout(sessions["alice"].AccessToken).Want(t, http.StatusOK, "")
		h.Fake.Recover()
		part := house.Act(h, matrixauth.CompareAccounts, matrixauth.Comparison{})
		if part.Compared != 2 || part.Waiting != 1 || len(part.Differences) != 0 {
			t.Errorf("got %+v", part)
		}
		h.Settle()
		wantDifferences(h)
	})
	// Something happens between the calls by which the homeserver is read, or after the last.
	for name, op := range map[string]string{"between the calls": "@alice:" + house.ServerName, "after them": "devices"} {
		during := func(h *house.House, f func()) {
			t.Helper()
			once := false
			h.Tap.Set(func(called string) {
				if called == op && !once {
					once = true
					f()
				}
			})
			wantDifferences(h)
			if !once {
				t.Fatal("the homeserver was not read so")
			}
		}
		t.Run("a login "+name, func(t *testing.T) {
			h, _ := house.Household(t, "alice")
			during(h, func() { h.LoginOn("alice", "NEW"); h.Clock.Move(time.Minute) })
		})
		t.Run("a logout "+name, func(t *testing.T) {
			h, sessions := house.Household(t, "alice")
			during(h, func() { h.Logout(sessions["alice"].AccessToken) })
		})
		t.Run("a job is done "+name, func(t *testing.T) {
			h, sessions := house.Household(t, "alice")
			h.Fake.Fail(http.StatusBadGateway, "")
			h.Logout(sessions["alice"].AccessToken).Want(t, http.StatusOK, "")
			h.Fake.Recover()
			h.Tap.Set(func(called string) {
				if called == op {
					h.Pass()
				}
			})
			wantDifferences(h) // nothing is read while it waits
		})
	}
	t.Run("many accounts are read part by part, in the name of one that the homeserver knows", func(t *testing.T) {
		var names []string
		for i := range operate.ComparedAtOnce + 5 {
			names = append(names, fmt.Sprintf("u%03d", i))
		}
		h := house.New(t, house.Unlimited)
		h.Add(names...)
		h.Settle()
		h.Fake.Remove("u000")
		h.Fake.Remove(names[len(names)-1])
		wantDifferences(h, "u000 unknown_at_homeserver", names[len(names)-1]+" unknown_at_homeserver")
	})
	t.Run("a homeserver that cannot be read is an error, and no difference", func(t *testing.T) {
		h, _ := house.Household(t, "alice")
		h.Fake.AskAt("http://127.0.0.1:9/")
		if _, err := matrixauth.CompareAccounts.Do(t.Context(), h.Ops, matrixauth.Comparison{}); err == nil {
			t.Error("it was compared")
		}
		h.Fake.Stop()
		if _, err := matrixauth.CompareAccounts.Do(t.Context(), h.Ops, matrixauth.Comparison{}); err == nil {
			t.Error("it was compared")
		}
	})
	t.Run("nobody is there", func(t *testing.T) {
		h := house.New(t)
		wantDifferences(h)
	})
}
