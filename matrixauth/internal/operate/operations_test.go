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
)

// TestListUsers reads accounts page by page, by what an owner looks for.
func TestListUsers(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice", "alan", "bob", "carol", "dave")
	house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "bob"}, Email: "Al.Bundy@example.org"})
	h.Clock.Move(time.Second)
	house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "bob"}, Email: "bob@example.org"})
	house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "carol"})
	house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "dave"}})
	house.Act(h, matrixauth.SetAdmin, matrixauth.AdminRight{Name: matrixauth.Name{User: "alice"}, Admin: true})
	h.LoginOn("alice", "PHONE")
	h.LoginOn("alice", "TABLET")
	for name, c := range map[string]struct {
		asked matrixauth.UserQuery
		want  string
	}{
		"all":                {matrixauth.UserQuery{}, "alan alice bob carol dave"},
		"active":             {matrixauth.UserQuery{State: "active"}, "alan alice bob"},
		"locked":             {matrixauth.UserQuery{State: "locked"}, "carol"},
		"deactivated":        {matrixauth.UserQuery{State: "deactivated"}, "dave"},
		"administrators":     {matrixauth.UserQuery{Admin: true}, "alice"},
		"names and mail":     {matrixauth.UserQuery{Search: "AL"}, "alan alice bob"},
		"a name":             {matrixauth.UserQuery{Search: "ali"}, "alice"},
		"mail":               {matrixauth.UserQuery{Search: "bob@"}, "bob"},
		"nobody":             {matrixauth.UserQuery{Search: "%"}, ""},
		"locked in a search": {matrixauth.UserQuery{Search: "c", State: "locked"}, "carol"},
	} {
		for _, limit := range []int{0, 1, 2} {
			t.Run(fmt.Sprintf("%s by %d", name, limit), func(t *testing.T) {
				asked := c.asked
				asked.Limit = limit
				var found []string
				for more := true; more; more = asked.After != "" {
					before := h.Store.Statements()
					page := house.Act(h, matrixauth.ListUsers, asked)
					if n := h.Store.Statements() - before; n != 1 {
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
	all := house.Act(h, matrixauth.ListUsers, matrixauth.UserQuery{}).Users
	if u := all[1]; u.Sessions != 2 || !u.Admin || u.Emails == nil {
		t.Errorf("alice is %+v", u)
	}
	if u := all[2]; !slices.Equal(u.Emails, []string{"Al.Bundy@example.org", "bob@example.org"}) {
		t.Errorf("bob is %+v", u)
	}
	if _, err := matrixauth.ListUsers.Do(t.Context(), h.Ops, matrixauth.UserQuery{State: "asleep"}); err == nil || !house.IsRefused(err) {
		t.Errorf("a state that is none: %v", err)
	}
}

// TestListSessions reads sessions of all users, those of browsers among them, and those that have ended.
func TestListSessions(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice", "bob")
	h.LoginOn("alice", "PHONE")
	h.Clock.Move(time.Second)
	ended := h.LoginOn("bob", "LAPTOP")
	h.Clock.Move(time.Second)
	h.SignedInAs("bob")
	h.Logout(ended.AccessToken).Want(t, http.StatusOK, "")
	for name, c := range map[string]struct {
		asked matrixauth.SessionQuery
		want  string
	}{
		"live":             {matrixauth.SessionQuery{}, "alice/PHONE/ bob//"},
		"of one":           {matrixauth.SessionQuery{User: "bob"}, "bob//"},
		"all":              {matrixauth.SessionQuery{All: true}, "alice/PHONE/ bob/LAPTOP/logout bob//"},
		"ended":            {matrixauth.SessionQuery{Ended: true}, "bob/LAPTOP/logout"},
		"of one and ended": {matrixauth.SessionQuery{User: "alice", Ended: true}, ""},
		"of a client":      {matrixauth.SessionQuery{ClientID: "app"}, ""},
	} {
		for _, limit := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s by %d", name, limit), func(t *testing.T) {
				asked := c.asked
				asked.Limit = limit
				var found []string
				for more := true; more; more = asked.After != "" {
					page := house.Act(h, matrixauth.ListSessions, asked)
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
	h := house.WithApp(t)
	b := h.SignedInAs("alice")
	h.Tokens(h.Exchange("app", b.Consent(house.Params("app", "scope", house.DeviceScope("TABLET")))))
	tokens := h.Tokens(h.Exchange("app", b.Consent(house.Params("app"))))
	shown := house.Act(h, matrixauth.ShowClient, matrixauth.ClientRef{ClientID: "app"})
	if shown.Sessions != 2 || shown.Name != "An App" || shown.Configured {
		t.Errorf("shown as %+v", shown)
	}
	before := h.Rows()
	would := house.Act(h, matrixauth.RemoveClient, matrixauth.ClientToRemove{ClientRef: matrixauth.ClientRef{ClientID: "app"}, DryRun: true})
	if after := h.Rows(); after != before {
		t.Errorf("a dry run changed\n%s\nto\n%s", before, after)
	}
	h.WantActive(tokens.AccessToken, "PHONE")
	removed := house.Act(h, matrixauth.RemoveClient, matrixauth.ClientToRemove{ClientRef: matrixauth.ClientRef{ClientID: "app"}})
	if removed != would || removed.Sessions != 2 || removed.Consents != 1 {
		t.Errorf("removed %+v, would have %+v", removed, would)
	}
	h.WantInactive(tokens.AccessToken)
	h.Settle()
	h.WantDevices("alice")
	if n := h.Count("consents") + h.Count("authorizations WHERE client_id = 'app'"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	for _, err := range []error{
		second(matrixauth.RemoveClient.Do(t.Context(), h.Ops, matrixauth.ClientToRemove{ClientRef: matrixauth.ClientRef{ClientID: "app"}})),
		second(matrixauth.ShowClient.Do(t.Context(), h.Ops, matrixauth.ClientRef{ClientID: "app"})),
	} {
		h.WantSentence(err, "no client app")
	}
	for _, c := range house.Act(h, matrixauth.ListClients, matrixauth.ClientQuery{Limit: 1}).Clients {
		if c.ID == "app" {
			t.Error("it is listed")
		}
	}
	if got := audited(h, "")[len(audited(h, ""))-1]; got != "operator unknown: client.remove consents=1 name=An App sessions=2" {
		t.Errorf("the audit log ends with %q", got)
	}
}

// TestDryRun says what would end, and ends nothing.
func TestDryRun(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	s := h.LoginOn("alice", "PHONE")
	h.SignedInAs("alice")
	before := h.Rows()
	if would := house.Act(h, matrixauth.EndSessions, matrixauth.SessionsToEnd{User: "alice", DryRun: true}); would.Sessions != 2 {
		t.Errorf("%d would end", would.Sessions)
	}
	if would := house.Act(h, matrixauth.TryDeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "alice"}}); would.State != "active" || would.Sessions != 1 {
		t.Errorf("it would be %+v", would)
	}
	if after := h.Rows(); after != before {
		t.Errorf("a dry run changed\n%s\nto\n%s", before, after)
	}
	h.WantActive(s.AccessToken, "PHONE")
	h.Introspect(s.AccessToken)
	if got := h.Logged(0, `"dry_run":true`); len(got) != 2 {
		t.Errorf("the log tells %d dry runs", len(got))
	}
}

// TestManageOutbox lists, hastens and drops what Synapse is to be told.
func TestManageOutbox(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice", "bob")
	h.Settle()
	h.Fake.Stop()
	house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
	house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "bob"})
	h.Pass()
	jobs := house.Act(h, matrixauth.ListJobs, matrixauth.JobQuery{}).Jobs
	if len(jobs) != 2 || jobs[0].User != "alice" || jobs[0].State != string(model.JobWaiting) || jobs[0].LastError == "" {
		t.Fatalf("listed as %+v", jobs)
	}
	if page := house.Act(h, matrixauth.ListJobs, matrixauth.JobQuery{Limit: 1}); len(page.Jobs) != 1 || page.Next != jobs[0].Position {
		t.Errorf("a page is %+v", page)
	}
	if found := house.Act(h, matrixauth.ListJobs, matrixauth.JobQuery{User: "bob"}).Jobs; len(found) != 1 || found[0].Position != jobs[1].Position {
		t.Errorf("of bob: %+v", found)
	}
	if found := house.Act(h, matrixauth.ListJobs, matrixauth.JobQuery{State: string(model.JobSetAside)}).Jobs; found == nil || len(found) != 0 {
		t.Errorf("refused: %+v", found)
	}
	h.WantSentence(second(matrixauth.ListJobs.Do(t.Context(), h.Ops, matrixauth.JobQuery{State: "refused"})), "not a state of a job")
	dropped := house.Act(h, matrixauth.DropJob, matrixauth.JobRef{Position: jobs[1].Position})
	if dropped.User != "bob" {
		t.Errorf("dropped %+v", dropped)
	}
	h.Fake.Resume()
	house.Act(h, matrixauth.RetryJob, matrixauth.JobRef{Position: jobs[0].Position})
	h.Pass()
	if h.Waiting() != 0 {
		t.Errorf("%d jobs wait", h.Waiting())
	}
	for _, op := range []matrixauth.Operation[matrixauth.JobRef, matrixauth.Job]{matrixauth.RetryJob, matrixauth.DropJob} {
		h.WantSentence(second(op.Do(t.Context(), h.Ops, matrixauth.JobRef{Position: jobs[0].Position})), "no job")
	}
	const by = "operator unknown: "
	wantAudited(h, "bob", len(audited(h, "bob"))-1, by+"outbox.drop job=provision_user "+fmt.Sprintf("position=%d", jobs[1].Position))
	wantAudited(h, "alice", len(audited(h, "alice"))-1, by+"outbox.retry job=provision_user "+fmt.Sprintf("position=%d", jobs[0].Position))
}

// TestRemoveEmail removes an address here and at the homeserver, however it is spelt, and TestSetDisplayName's name gets
// there too.
func TestRemoveEmail(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	alice := matrixauth.Name{User: "alice"}
	house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: alice, Email: "Alice@example.org"})
	if u := house.Act(h, matrixauth.RemoveEmail, matrixauth.NameAndEmail{Name: alice, Email: "alice@EXAMPLE.org"}); len(u.Emails) != 0 {
		t.Errorf("left are %q", u.Emails)
	}
	house.Act(h, matrixauth.SetDisplayName, matrixauth.NameAndDisplayName{Name: alice, DisplayName: "Alice Liddell"})
	h.Settle()
	there, _ := h.Fake.User("alice")
	if len(there.Emails) != 0 || there.DisplayName == nil || *there.DisplayName != "Alice Liddell" {
		t.Errorf("Synapse has %+v", there)
	}
	h.WantSentence(second(matrixauth.RemoveEmail.Do(t.Context(), h.Ops, matrixauth.NameAndEmail{Name: alice, Email: "alice@example.org"})), "no such address")
	h.WantSentence(second(matrixauth.SetDisplayName.Do(t.Context(), h.Ops, matrixauth.NameAndDisplayName{Name: alice, DisplayName: strings.Repeat("x", 257)})), "256 characters")
	h.WantSentence(second(matrixauth.SetDisplayName.Do(t.Context(), h.Ops, matrixauth.NameAndDisplayName{Name: alice})), "must not be empty")
}

// second is the error of a call with a result.
func second[R any](_ R, err error) error { return err }
