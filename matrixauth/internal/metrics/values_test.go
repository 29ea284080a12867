package metrics_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// gained is what the metrics of a house gained by f, but for the ages of jobs.
func gained(h *house.House, f func()) map[string]float64 {
	h.T.Helper()
	before := h.Metrics()
	f()
	h.Clock.Move(time.Microsecond) // so that users and sessions are counted anew
	after := h.Metrics()
	maps.DeleteFunc(after, func(name string, value float64) bool {
		return value == before[name] || strings.HasPrefix(name, "outbox_oldest_job_age_seconds")
	})
	for name := range after {
		after[name] -= before[name]
	}
	return after
}

// TestWhatIsCounted: everything that is counted raises its own count and no other, at every door (docs/metrics.md).
func TestWhatIsCounted(t *testing.T) {
	type counts = map[string]float64
	ask := func(h *house.House, token, secret string) {
		h.Do(house.Call{Method: http.MethodPost, Path: "/oauth2/introspect", Inside: true, Bearer: secret, Header: house.FormType, Body: house.Form("token", token)})
	}
	signIn := func(h *house.House, user, password string) {
		v := h.Browser()
		v.Get("/account/login")
		v.Post("/account/login", "username", user, "password", password)
	}
	for name, c := range map[string]struct {
		// ready gives what is done and counted.
		ready func(h *house.House) func()
		want  counts
	}{
		"a login": {func(h *house.House) func() { return func() { h.LoginOn("alice", "PHONE") } },
			counts{"logins_total ok": 1, "sessions compat": 1}},
		"a login with a wrong password": {func(h *house.House) func() { return func() { h.Guess("alice", "") } },
			counts{"logins_total invalid_credentials": 1}},
		"a login of a locked user": {func(h *house.House) func() {
			house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
			h.Settle()
			return func() { h.TryLogin("alice", nil) }
		}, counts{"logins_total user_locked": 1}},
		"a login while the homeserver is down": {func(h *house.House) func() {
			h.Fake.Stop()
			return func() { h.TryLogin("alice", nil) }
		}, counts{"logins_total temporarily_unavailable": 1, "outbox_jobs delete_device": 1, "outbox_lanes": 1}}, // of what it may have made
		"a sign-in": {func(h *house.House) func() { return func() { signIn(h, "alice", house.AlicesPassword) } },
			counts{"logins_total ok": 1}},
		"a sign-in with a wrong password": {func(h *house.House) func() { return func() { signIn(h, "alice", "wrong") } },
			counts{"logins_total invalid_credentials": 1}},
		"a code": {func(h *house.House) func() {
			code := h.SignedInAs("alice").Consent(house.Params("app"))
			return func() { h.Tokens(h.Exchange("app", code)) }
		}, counts{"logins_total ok": 1, "sessions oauth": 1}},
		"a wrong code": {func(h *house.House) func() { return func() { h.Exchange("app", "nothing") } },
			counts{"logins_total invalid_grant": 1}},
		"a refresh": {func(h *house.House) func() {
			s := h.Login("alice", house.Object{"refresh_token": true})
			return func() { h.SignedIn(h.Refresh(s.RefreshToken)) }
		}, counts{"refreshes_total ok": 1}},
		"a refresh with a wrong token": {func(h *house.House) func() { return func() { h.Refresh("mcr_x") } },
			counts{"refreshes_total refresh_refused": 1}},
		"a refresh of a client": {func(h *house.House) func() {
			s := h.OauthSession("alice", "app", "PHONE")
			return func() { h.Tokens(h.Renew("app", s.RefreshToken)) }
		}, counts{"refreshes_total ok": 1}},
		"a refresh of a client with a wrong token": {func(h *house.House) func() { return func() { h.Renew("app", "mar_x") } },
			counts{"refreshes_total refresh_refused": 1}},
		"a refresh of a locked user": {func(h *house.House) func() {
			s := h.Login("alice", house.Object{"refresh_token": true})
			house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
			h.Settle()
			return func() { h.Refresh(s.RefreshToken) }
		}, counts{"refreshes_total user_locked": 1}},
		"a question about a token": {func(h *house.House) func() {
			s := h.LoginOn("alice", "PHONE")
			return func() { h.WantActive(s.AccessToken, "PHONE") }
		}, counts{"introspections_total active": 1}},
		"about a token of a locked user": {func(h *house.House) func() {
			s := h.LoginOn("alice", "PHONE")
			house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
			h.Settle()
			return func() { ask(h, s.AccessToken, house.SharedKey) }
		}, counts{"introspections_total locked": 1}},
		"about a token that is none": {func(h *house.House) func() { return func() { h.WantInactive("nothing") } },
			counts{"introspections_total inactive": 1}},
		"with a wrong secret": {func(h *house.House) func() { return func() { ask(h, "x", "wrong") } },
			counts{"introspections_total refused": 1}},
		"that the database cannot answer": {func(h *house.House) func() {
			s := h.LoginOn("alice", "PHONE")
			h.SQL("ALTER TABLE tokens RENAME TO elsewhere")
			return func() { ask(h, s.AccessToken, house.SharedKey) }
		}, counts{"introspections_total failed": 1}},
		"about a token of a session that is lost": {func(h *house.House) func() {
			s := h.LoginOn("alice", "PHONE")
			h.SQL("DELETE FROM tokens; DELETE FROM sessions")
			return func() { ask(h, s.AccessToken, house.SharedKey) }
		}, counts{"introspections_total lost": 1, "session_events_total lost": 1}},
		"about a token of a lost session that no key proves": {func(h *house.House) func() {
			d, _ := model.Describe(h.LoginOn("alice", "PHONE").AccessToken)
			h.SQL("DELETE FROM tokens; DELETE FROM sessions")
			d.Tags.Made[0] ^= 1
			h.SQL("UPDATE gaps SET ended = 9223372036854775807")
			return func() { ask(h, model.NewSelfDescribingToken(d.Kind, d.Signed, d.Tags), house.SharedKey) }
		}, counts{"introspections_total lost": 1, "session_events_total unproven": 1}},
		"a refresh of a session that is lost": {func(h *house.House) func() {
			s := h.Login("alice", house.Object{"refresh_token": true})
			h.SQL("DELETE FROM tokens; DELETE FROM sessions")
			return func() { h.Refresh(s.RefreshToken) }
		}, counts{"refreshes_total temporarily_unavailable": 1, "session_events_total lost": 1}},
		"a token that the database forgot": {func(h *house.House) func() {
			s := h.Login("alice", house.Object{"refresh_token": true})
			h.SQL("DELETE FROM tokens")
			return func() { ask(h, s.AccessToken, house.SharedKey); ask(h, s.AccessToken, house.SharedKey) }
		}, counts{"introspections_total active": 2, "session_events_total rowless": 1}},
		"a refresh token that the database forgot": {func(h *house.House) func() {
			s := h.Login("alice", house.Object{"refresh_token": true})
			h.SQL("DELETE FROM tokens")
			return func() { h.SignedIn(h.Refresh(s.RefreshToken)) }
		}, counts{"refreshes_total ok": 1, "session_events_total rowless": 1}},
		"a refresh token that comes again": {func(h *house.House) func() {
			first := h.Login("alice", house.Object{"refresh_token": true})
			second := h.SignedIn(h.Refresh(first.RefreshToken))
			h.SignedIn(h.Refresh(second.RefreshToken))
			h.Clock.Move(2 * time.Minute)
			return func() { h.Refresh(first.RefreshToken) }
		}, counts{"refreshes_total ended_softly": 1, "session_events_total soft_end": 1, "sessions compat": -1}},
		"a session that two refresh": {func(h *house.House) func() {
			first := h.Login("alice", house.Object{"refresh_token": true})
			a, b := h.SignedIn(h.Refresh(first.RefreshToken)), h.SignedIn(h.Refresh(first.RefreshToken))
			a, b = h.SignedIn(h.Refresh(a.RefreshToken)), h.SignedIn(h.Refresh(b.RefreshToken))
			h.SignedIn(h.Refresh(a.RefreshToken))
			h.Clock.Move(2 * time.Minute)
			return func() { h.SignedIn(h.Refresh(b.RefreshToken)) }
		}, counts{"refreshes_total ok": 1, "session_events_total twice_at_once": 1}},
		"a logout": {func(h *house.House) func() {
			s := h.LoginOn("alice", "PHONE")
			return func() { h.Logout(s.AccessToken) }
		}, counts{"sessions compat": -1}},
		"a revocation": {func(h *house.House) func() {
			s := h.OauthSession("alice", "app", "PHONE")
			return func() {
				h.Do(house.Call{Method: http.MethodPost, Path: house.RevokePath, Header: house.FormType, Body: house.Form("token", s.RefreshToken)})
			}
		}, counts{"sessions oauth": -1}},
		"an account": {func(h *house.House) func() { return func() { h.Add("carol") } }, counts{"users active": 1}},
		"a lock": {func(h *house.House) func() {
			return func() { house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"}); h.Settle() }
		}, counts{"users active": -1, "users locked": 1}},
		"a deactivation": {func(h *house.House) func() {
			return func() {
				house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "alice"}})
				h.Settle()
			}
		}, counts{"users active": -1, "users deactivated": 1}},
		"a backup": {func(h *house.House) func() { return func() { house.Act(h, matrixauth.NoteBackup, struct{}{}) } },
			counts{"backup_timestamp_seconds": -1}}, // the time, see below
	} {
		t.Run(name, func(t *testing.T) {
			h := house.WithApp(t)
			f := c.ready(h)
			got := gained(h, f)
			if want := c.want["backup_timestamp_seconds"]; want < 0 {
				c.want["backup_timestamp_seconds"] = float64(h.Clock.Now().Unix())
			}
			if !maps.Equal(got, c.want) {
				t.Errorf("gained %v\nwant   %v", got, c.want)
			}
		})
	}
}

// TestWaitingJobsAreCounted tells each kind of job, how long the oldest waits, for how many users any waits, and which
// were set aside.
func TestWaitingJobsAreCounted(t *testing.T) {
	h := house.New(t, house.Unlimited)
	users := []string{"alice", "bob", "carol", "dave", "erin"}
	h.Add(users...)
	name := func(user string) matrixauth.Name { return matrixauth.Name{User: user} }
	phones := map[string]house.SignedIn{}
	for _, user := range users {
		phones[user] = h.LoginOn(user, "PHONE")
	}
	house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: name("erin")})
	h.Settle()
	h.Fake.Stop()
	house.Act(h, matrixauth.ReactivateUser, name("erin")) // and brings the account up to date
	h.Clock.Move(time.Hour)
	house.Act(h, matrixauth.LockUser, name("alice"))
	house.Act(h, matrixauth.LockUser, name("bob"))
	h.Clock.Move(time.Hour)
	for _, user := range []string{"alice", "bob", "carol", "dave"} {
		h.Logout(phones[user].AccessToken).Want(t, http.StatusOK, "")
	}
	h.Clock.Move(time.Hour)
	house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: name("dave")})
	h.Clock.Move(time.Minute)
	wantMetrics(h, map[string]float64{
		"outbox_jobs reactivate_user": 1, "outbox_jobs provision_user": 3, "outbox_jobs delete_device": 4, "outbox_jobs deactivate_user": 1,
		"outbox_oldest_job_age_seconds reactivate_user": 3*3600 + 60, "outbox_oldest_job_age_seconds provision_user": 3*3600 + 60,
		"outbox_oldest_job_age_seconds delete_device": 3600 + 60, "outbox_oldest_job_age_seconds deactivate_user": 60,
		"outbox_lanes": 5, "outbox_jobs_set_aside provision_user": 0, "outbox_jobs_set_aside delete_device": 0,
	})
	h.Fake.Resume()
	h.Tap.RefuseAll("delete_device")
	h.Settle()
	wantMetrics(h, map[string]float64{
		"outbox_jobs reactivate_user": 0, "outbox_jobs provision_user": 0, "outbox_jobs delete_device": 0, "outbox_jobs deactivate_user": 0,
		"outbox_oldest_job_age_seconds reactivate_user": 0, "outbox_oldest_job_age_seconds delete_device": 0, "outbox_lanes": 0,
		"outbox_jobs_set_aside provision_user": 0, "outbox_jobs_set_aside delete_device": 4, "outbox_jobs_set_aside deactivate_user": 0,
	})
}

func wantMetrics(h *house.House, want map[string]float64) {
	h.T.Helper()
	all := h.Metrics()
	for name, value := range want {
		if got, there := all[name]; !there || got != value {
			h.T.Errorf("%s is %v (%v), want %v", name, got, there, value)
		}
	}
}
