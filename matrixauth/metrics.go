package matrixauth

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Metrics are the counters of a Core. They outlive reloads; the embedding server registers them in
// the registry of each configuration.
type Metrics struct {
	core           *Core
	logins         *prometheus.CounterVec
	refreshes      *prometheus.CounterVec
	introspections *prometheus.CounterVec
	hashSeconds    prometheus.Histogram

	waiting, setAside, oldest *prometheus.Desc
}

func newMetrics(c *Core) *Metrics {
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "matrix_auth", Name: name, Help: help}, []string{label})
	}
	gauge := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("matrix_auth_outbox_"+name, help, nil, nil)
	}
	return &Metrics{
		core:           c,
		logins:         counter("logins_total", "Passwords tried and codes exchanged, by outcome.", "outcome"),
		refreshes:      counter("refreshes_total", "Token refreshes by outcome.", "outcome"),
		introspections: counter("introspections_total", "Introspections by outcome.", "outcome"),
		hashSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "matrix_auth", Name: "password_hash_seconds", Help: "Time taken by password hashes.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5},
		}),
		waiting:  gauge("jobs", "Jobs that wait for the homeserver."),
		setAside: gauge("jobs_set_aside", "Jobs that the homeserver refused for good."),
		oldest:   gauge("oldest_job_age_seconds", "Age of the job that waits longest."),
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	m.logins.Describe(out)
	m.refreshes.Describe(out)
	m.introspections.Describe(out)
	m.hashSeconds.Describe(out)
	out <- m.waiting
	out <- m.setAside
	out <- m.oldest
}

// scrapeTimeout bounds the reading of the outbox for a scrape.
const scrapeTimeout = 2 * time.Second

// Collect implements prometheus.Collector. The outbox is read when somebody asks.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	m.logins.Collect(out)
	m.refreshes.Collect(out)
	m.introspections.Collect(out)
	m.hashSeconds.Collect(out)
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	state, err := m.core.outbox.State(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(m.waiting, err)
		return
	}
	age := 0.0
	if !state.Oldest.IsZero() {
		age = max(0, m.core.store.Now().Sub(state.Oldest).Seconds())
	}
	out <- prometheus.MustNewConstMetric(m.waiting, prometheus.GaugeValue, float64(state.Waiting))
	out <- prometheus.MustNewConstMetric(m.setAside, prometheus.GaugeValue, float64(state.SetAside))
	out <- prometheus.MustNewConstMetric(m.oldest, prometheus.GaugeValue, age)
}

// countGrant counts an OAuth token request: a code begins a session, as a login does.
func (m *Metrics) countGrant(grantType, outcome string) {
	if grantType == model.GrantCode {
		m.logins.WithLabelValues(outcome).Inc()
		return
	}
	m.refreshes.WithLabelValues(outcome).Inc()
}

func (m *Metrics) countCompat(operation, outcome string) {
	if operation == "login" {
		m.logins.WithLabelValues(outcome).Inc()
		return
	}
	m.refreshes.WithLabelValues(outcome).Inc()
}
