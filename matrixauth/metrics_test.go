package matrixauth

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics reads all that a scrape would, by name and label.
func (h *house) metrics() map[string]float64 {
	h.t.Helper()
	registry := prometheus.NewPedanticRegistry()
	h.must(registry.Register(h.core.Metrics()))
	families, err := registry.Gather()
	h.must(err)
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := strings.TrimPrefix(f.GetName(), "matrix_auth_")
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}

// TestMetrics counts what was done, by outcome and by nothing that names a user.
func TestMetrics(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	before := h.metrics()
	phone := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
	h.do(call{method: "POST", path: loginPath, body: loginBody("alice", "wrong", nil)}).want(t, http.StatusForbidden, "M_FORBIDDEN")
	fresh := h.signedIn(h.refresh(phone.RefreshToken))
	h.refresh("nonsense").want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	h.wantActive(fresh.AccessToken, "PHONE")
	h.wantInactive("nonsense")
	h.fake.Stop()
	h.logout(fresh.AccessToken).want(t, http.StatusOK, "")
	h.clock.Move(time.Minute)

	gained := h.metrics()
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
	h := newHouse(t)
	m := h.metrics()
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
	h := newHouse(t, unlimited)
	for _, name := range []string{"alice", "bob", "carol"} {
		h.add(name)
	}
	h.login("alice", object{"device_id": "PHONE"})
	desk := h.login("alice", object{"device_id": "DESK"})
	h.login("bob", object{"device_id": "BOBS"})
	h.logout(desk.AccessToken).want(t, http.StatusOK, "")
	act(h, LockUser, Name{User: "bob"})
	act(h, DeactivateUser, Deactivation{Name: Name{User: "carol"}})
	m := h.metrics()
	for name, want := range map[string]float64{"users active": 1, "users locked": 1, "users deactivated": 1, "sessions compat": 2, "sessions oauth": 0} {
		if m[name] != want {
			t.Errorf("%s is %v, want %v", name, m[name], want)
		}
	}
	for name := range m {
		for _, secret := range []string{"alice", "bob", "carol", "PHONE", "mct_", serverName} {
			if strings.Contains(name, secret) {
				t.Errorf("%s names somebody", name)
			}
		}
	}
}

// TestMetricsWithoutDatabase: a database that does not answer is told as such, and takes nobody else's
// metrics with it.
func TestMetricsWithoutDatabase(t *testing.T) {
	h := newHouse(t)
	h.must(h.core.Close())
	m := h.metrics()
	if _, there := m["users active"]; there || m["database_up"] != 0 {
		t.Errorf("%v", m)
	}
	if _, there := m["logins_total ok"]; !there {
		t.Error("what is counted in memory is gone")
	}
}
