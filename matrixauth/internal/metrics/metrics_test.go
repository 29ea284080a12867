package metrics_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestMetrics counts what was done, by outcome and by nothing that names a user.
func TestMetrics(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	before := h.Metrics()
	phone := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
	h.Do(house.Call{Method: "POST", Path: house.LoginPath, Body: house.LoginBody("alice", "wrong", nil)}).Want(t, http.StatusForbidden, "M_FORBIDDEN")
	fresh := h.SignedIn(h.Refresh(phone.RefreshToken))
	h.Refresh("nonsense").Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	h.WantActive(fresh.AccessToken, "PHONE")
	h.WantInactive("nonsense")
	h.Fake.Stop()
	h.Logout(fresh.AccessToken).Want(t, http.StatusOK, "")
	h.Clock.Move(time.Minute)

	gained := h.Metrics()
	maps.DeleteFunc(gained, func(name string, value float64) bool { return value == before[name] })
	for name := range gained {
		gained[name] -= before[name]
	}
	want := map[string]float64{
		"logins_total ok": 1, "logins_total invalid_credentials": 1, "refreshes_total ok": 1, "refreshes_total refresh_refused": 1,
		"introspections_total active": 1, "introspections_total inactive": 1,
		"outbox_jobs delete_device": 1, "outbox_oldest_job_age_seconds delete_device": 60, "outbox_lanes": 1,
	}
	if !maps.Equal(gained, want) {
		t.Errorf("gained %v\nwant   %v", gained, want)
	}
}

// TestMetricsBeforeAnything: a rule about an increase sees only what had a value before, so all that may ever
// count is there from the first scrape on.
func TestMetricsBeforeAnything(t *testing.T) {
	h := house.New(t)
	m := h.Metrics()
	for _, name := range []string{
		"logins_total ok", "logins_total invalid_credentials", "logins_total rate_limited", "logins_total temporarily_unavailable",
		"refreshes_total ok", "refreshes_total refresh_refused", "refreshes_total invalid_grant", "refreshes_total temporarily_unavailable",
		"introspections_total active", "introspections_total inactive", "introspections_total failed", "introspections_total refused", "introspections_total locked",
		"users active", "users locked", "users deactivated", "sessions compat", "sessions oauth",
		"limited_total logins_by_network", "limited_total refreshes", "outbox_jobs delete_device", "outbox_jobs_set_aside provision_user",
		"outbox_oldest_job_age_seconds deactivate_user", "outbox_lanes", "backup_timestamp_seconds",
	} {
		if value, there := m[name]; !there || value != 0 {
			t.Errorf("%s is %v, %v", name, value, there)
		}
	}
	if m["seal_usable"] != 1 {
		t.Error("the seal cannot be used")
	}
	if m["database_up"] != 1 {
		t.Error("the database did not answer")
	}
}

// TestMetricsOfPeople counts accounts and live sessions, and names nobody.
func TestMetricsOfPeople(t *testing.T) {
	h := house.New(t, house.Unlimited)
	for _, name := range []string{"alice", "bob", "carol"} {
		h.Add(name)
	}
	h.Login("alice", house.Object{"device_id": "PHONE"})
	desk := h.Login("alice", house.Object{"device_id": "DESK"})
	h.Login("bob", house.Object{"device_id": "BOBS"})
	h.Logout(desk.AccessToken).Want(t, http.StatusOK, "")
	house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "bob"})
	house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "carol"}})
	m := h.Metrics()
	for name, want := range map[string]float64{"users active": 1, "users locked": 1, "users deactivated": 1, "sessions compat": 2, "sessions oauth": 0} {
		if m[name] != want {
			t.Errorf("%s is %v, want %v", name, m[name], want)
		}
	}
	for name := range m {
		for _, secret := range []string{"alice", "bob", "carol", "PHONE", "mct_", house.ServerName} {
			if strings.Contains(name, secret) {
				t.Errorf("%s names somebody", name)
			}
		}
	}
}

// TestMetricsWithoutDatabase: a database that does not answer is told as such, and takes nobody else's
// metrics with it.
func TestMetricsWithoutDatabase(t *testing.T) {
	h := house.New(t)
	h.Must(h.Core.Close())
	m := h.Metrics()
	if _, there := m["users active"]; there || m["database_up"] != 0 {
		t.Errorf("%v", m)
	}
	if _, there := m["logins_total ok"]; !there {
		t.Error("what is counted in memory is gone")
	}
}
