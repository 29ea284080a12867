package matrixauth

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestListUsers reads accounts page by page, by what an owner looks for.
func TestListUsers(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice", "alan", "bob", "carol", "dave")
	act(h, AddEmail, NameAndEmail{Name: Name{User: "bob"}, Email: "Al.Bundy@example.org"})
	h.clock.Move(time.Second)
	act(h, AddEmail, NameAndEmail{Name: Name{User: "bob"}, Email: "bob@example.org"})
	act(h, LockUser, Name{User: "carol"})
	act(h, DeactivateUser, Deactivation{Name: Name{User: "dave"}})
	act(h, SetAdmin, AdminRight{Name: Name{User: "alice"}, Admin: true})
	h.loginOn("alice", "PHONE")
	h.loginOn("alice", "TABLET")
	for name, c := range map[string]struct {
		asked UsersAsked
		want  string
	}{
		"all":                {UsersAsked{}, "alan alice bob carol dave"},
		"active":             {UsersAsked{State: "active"}, "alan alice bob"},
		"locked":             {UsersAsked{State: "locked"}, "carol"},
		"deactivated":        {UsersAsked{State: "deactivated"}, "dave"},
		"administrators":     {UsersAsked{Admin: true}, "alice"},
		"names and mail":     {UsersAsked{Search: "AL"}, "alan alice bob"},
		"a name":             {UsersAsked{Search: "ali"}, "alice"},
		"mail":               {UsersAsked{Search: "bob@"}, "bob"},
		"nobody":             {UsersAsked{Search: "%"}, ""},
		"locked in a search": {UsersAsked{Search: "c", State: "locked"}, "carol"},
	} {
		for _, limit := range []int{0, 1, 2} {
			t.Run(fmt.Sprintf("%s by %d", name, limit), func(t *testing.T) {
				asked := c.asked
				asked.Limit = limit
				var found []string
				for more := true; more; more = asked.After != "" {
					before := h.store.Statements()
					page := act(h, ListUsers, asked)
					if n := h.store.Statements() - before; n != 1 {
						t.Errorf("a page took %d statements", n)
					}
					if limit > 0 && len(page.Users) > limit || page.Users == nil {
						t.Errorf("a page of %d: %v", limit, page.Users)
					}
					for _, u := range page.Users {
						found = append(found, u.Localpart)
					}
					asked.After = page.Next
				}
				if got := strings.Join(found, " "); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		}
	}
	all := act(h, ListUsers, UsersAsked{}).Users
	if u := all[1]; u.Sessions != 2 || !u.Admin || u.Emails == nil {
		t.Errorf("alice is %+v", u)
	}
	if u := all[2]; !slices.Equal(u.Emails, []string{"Al.Bundy@example.org", "bob@example.org"}) {
		t.Errorf("bob is %+v", u)
	}
	if _, err := ListUsers.Do(t.Context(), h.ops, UsersAsked{State: "asleep"}); err == nil || !isRefused(err) {
		t.Errorf("a state that is none: %v", err)
	}
}

// TestListSessions reads sessions of all users, those of browsers among them, and those that have ended.
func TestListSessions(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice", "bob")
	h.loginOn("alice", "PHONE")
	h.clock.Move(time.Second)
	ended := h.loginOn("bob", "LAPTOP")
	h.clock.Move(time.Second)
	h.signedInAs("bob")
	h.logout(ended.AccessToken).want(t, http.StatusOK, "")
	for name, c := range map[string]struct {
		asked SessionsAsked
		want  string
	}{
		"live":             {SessionsAsked{}, "alice/PHONE/ bob//"},
		"of one":           {SessionsAsked{User: "bob"}, "bob//"},
		"all":              {SessionsAsked{All: true}, "alice/PHONE/ bob/LAPTOP/logout bob//"},
		"ended":            {SessionsAsked{Ended: true}, "bob/LAPTOP/logout"},
		"of one and ended": {SessionsAsked{User: "alice", Ended: true}, ""},
		"of a client":      {SessionsAsked{ClientID: "app"}, ""},
	} {
		for _, limit := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s by %d", name, limit), func(t *testing.T) {
				asked := c.asked
				asked.Limit = limit
				var found []string
				for more := true; more; more = asked.After != "" {
					page := act(h, ListSessions, asked)
					if page.Sessions == nil {
						t.Error("the list is absent")
					}
					for _, s := range page.Sessions {
						found = append(found, s.User+"/"+s.DeviceID+"/"+s.EndReason)
					}
					asked.After = page.Next
				}
				if got := strings.Join(found, " "); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		}
	}
}

// TestRemoveClient removes a registration with all that hangs on it, and a dry run removes nothing.
func TestRemoveClient(t *testing.T) {
	a := newSignedInApp(t)
	shown := act(a.house, ShowClient, ClientNamed{ClientID: "app"})
	if shown.Sessions != 2 || shown.Name != "An App" || shown.Configured {
		t.Errorf("shown as %+v", shown)
	}
	before := a.rows()
	would := act(a.house, RemoveClient, ClientToRemove{ClientNamed: ClientNamed{ClientID: "app"}, DryRun: true})
	if after := a.rows(); after != before {
		t.Errorf("a dry run changed\n%s\nto\n%s", before, after)
	}
	a.wantActive(a.tokens.AccessToken, "PHONE")
	removed := act(a.house, RemoveClient, ClientToRemove{ClientNamed: ClientNamed{ClientID: "app"}})
	if removed != would || removed.Sessions != 2 || removed.Consents != 1 {
		t.Errorf("removed %+v, would have %+v", removed, would)
	}
	a.wantInactive(a.tokens.AccessToken)
	a.settle()
	a.wantDevices("alice")
	if n := a.count("consents") + a.count("authorizations WHERE client_id = 'app'"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	for _, err := range []error{
		second(RemoveClient.Do(t.Context(), a.ops, ClientToRemove{ClientNamed: ClientNamed{ClientID: "app"}})),
		second(ShowClient.Do(t.Context(), a.ops, ClientNamed{ClientID: "app"})),
	} {
		a.wantSentence(err, "no client app")
	}
	for _, c := range act(a.house, ListClients, ClientsAsked{Limit: 1}).Clients {
		if c.ID == "app" {
			t.Error("it is listed")
		}
	}
	if got := a.audited("")[len(a.audited(""))-1]; got != "operator unknown: client.remove consents=1 name=An App sessions=2" {
		t.Errorf("the audit log ends with %q", got)
	}
}

// TestDryRun says what would end, and ends nothing.
func TestDryRun(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	s := h.loginOn("alice", "PHONE")
	h.signedInAs("alice")
	before := h.rows()
	if would := act(h, EndSessions, SessionsToEnd{User: "alice", DryRun: true}); would.Sessions != 2 {
		t.Errorf("%d would end", would.Sessions)
	}
	if would := act(h, DeactivateUser, Deactivation{Name: Name{User: "alice"}, DryRun: true}); would.State != "active" || would.Sessions != 1 {
		t.Errorf("it would be %+v", would)
	}
	if after := h.rows(); after != before {
		t.Errorf("a dry run changed\n%s\nto\n%s", before, after)
	}
	h.wantActive(s.AccessToken, "PHONE")
	h.introspect(s.AccessToken)
	if got := h.logged(0, `"dry_run":true`); len(got) != 2 {
		t.Errorf("the log tells %d dry runs", len(got))
	}
}

// TestManageOutbox lists, hastens and drops what Synapse is to be told.
func TestManageOutbox(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice", "bob")
	h.settle()
	h.fake.Stop()
	act(h, LockUser, Name{User: "alice"})
	act(h, LockUser, Name{User: "bob"})
	h.pass()
	jobs := act(h, ListJobs, JobsAsked{}).Jobs
	if len(jobs) != 2 || jobs[0].User != "alice" || jobs[0].State != string(model.JobWaiting) || jobs[0].LastError == "" {
		t.Fatalf("listed as %+v", jobs)
	}
	if page := act(h, ListJobs, JobsAsked{Limit: 1}); len(page.Jobs) != 1 || page.Next != jobs[0].Position {
		t.Errorf("a page is %+v", page)
	}
	if found := act(h, ListJobs, JobsAsked{User: "bob"}).Jobs; len(found) != 1 || found[0].Position != jobs[1].Position {
		t.Errorf("of bob: %+v", found)
	}
	if found := act(h, ListJobs, JobsAsked{State: string(model.JobSetAside)}).Jobs; found == nil || len(found) != 0 {
		t.Errorf("refused: %+v", found)
	}
	dropped := act(h, DropJob, JobNamed{Position: jobs[1].Position})
	if dropped.User != "bob" {
		t.Errorf("dropped %+v", dropped)
	}
	h.fake.Resume()
	act(h, RetryJob, JobNamed{Position: jobs[0].Position})
	h.pass()
	if h.waiting() != 0 {
		t.Errorf("%d jobs wait", h.waiting())
	}
	for _, op := range []Operation[JobNamed, Job]{RetryJob, DropJob} {
		h.wantSentence(second(op.Do(t.Context(), h.ops, JobNamed{Position: jobs[0].Position})), "no job")
	}
	const by = "operator unknown: "
	h.wantAudited("bob", len(h.audited("bob"))-1, by+"outbox.drop job=provision_user "+fmt.Sprintf("position=%d", jobs[1].Position))
	h.wantAudited("alice", len(h.audited("alice"))-1, by+"outbox.retry job=provision_user "+fmt.Sprintf("position=%d", jobs[0].Position))
}

// TestRemoveEmail removes an address here and at the homeserver, however it is spelt, and TestSetDisplayName's name gets
// there too.
func TestRemoveEmail(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	alice := Name{User: "alice"}
	act(h, AddEmail, NameAndEmail{Name: alice, Email: "Alice@example.org"})
	if u := act(h, RemoveEmail, NameAndEmail{Name: alice, Email: "alice@EXAMPLE.org"}); len(u.Emails) != 0 {
		t.Errorf("left are %q", u.Emails)
	}
	act(h, SetDisplayName, NameAndDisplayName{Name: alice, DisplayName: "Alice Liddell"})
	h.settle()
	there, _ := h.fake.User("alice")
	if len(there.Emails) != 0 || there.DisplayName == nil || *there.DisplayName != "Alice Liddell" {
		t.Errorf("Synapse has %+v", there)
	}
	h.wantSentence(second(RemoveEmail.Do(t.Context(), h.ops, NameAndEmail{Name: alice, Email: "alice@example.org"})), "no such address")
	h.wantSentence(second(SetDisplayName.Do(t.Context(), h.ops, NameAndDisplayName{Name: alice, DisplayName: strings.Repeat("x", 257)})), "256 characters")
	h.wantSentence(second(SetDisplayName.Do(t.Context(), h.ops, NameAndDisplayName{Name: alice})), "must not be empty")
}

// second is the error of a call with a result.
func second[R any](_ R, err error) error { return err }
