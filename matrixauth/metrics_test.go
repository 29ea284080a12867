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
	h.clock.move(time.Minute)

	gained := h.metrics()
	maps.DeleteFunc(gained, func(name string, value float64) bool { return value == before[name] })
	for name := range gained {
		gained[name] -= before[name]
	}
	want := map[string]float64{
		"logins_total ok": 1, "logins_total invalid_credentials": 1, "refreshes_total ok": 1, "refreshes_total refresh_refused": 1,
		"introspections_total active": 1, "introspections_total inactive": 1,
		"outbox_jobs": 1, "outbox_oldest_job_age_seconds": 60,
	}
	if !maps.Equal(gained, want) {
		t.Errorf("gained %v\nwant   %v", gained, want)
	}
}
