// Package metrics counts what was done and tells what there is, for Prometheus. No label's value comes from
// outside, so their number is bounded and none names a user.
package metrics

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/mail"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/oauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Metrics are the counters of an open database. They outlive reloads; the embedding server registers them in
// the registry of each configuration.
type Metrics struct {
	store          *store.Store
	limiter        *limit.Limiter
	logins         *prometheus.CounterVec
	refreshes      *prometheus.CounterVec
	introspections *prometheus.CounterVec
	sessionEvents  *prometheus.CounterVec
	mails          *prometheus.CounterVec
	hashSeconds    prometheus.Histogram
	population     populationCounter

	jobs, setAside, oldest, lanes *prometheus.Desc
	users, sessions               *prometheus.Desc
	limited, backup, up, seal     *prometheus.Desc
	failing                       *prometheus.Desc
	writable, damaged             *prometheus.Desc

	// SealUsable reports whether what was sealed in the database can be opened, if that is known. It is set before
	// the first scrape.
	SealUsable func() (usable, known bool)
	// Backups tells of the copies that the server makes by itself, if it does: when the newest was made, and whether the
	// last one that was due failed. It is set before the first scrape.
	Backups func() (newest time.Time, failing, configured bool)
}

// New makes the metrics of a database and of what a limiter refused.
func New(s *store.Store, limiter *limit.Limiter) *Metrics {
	counter := func(name, help string, outcomes []string) *prometheus.CounterVec {
		made := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "matrix_auth", Name: name, Help: help}, []string{"outcome"})
		for _, outcome := range outcomes {
			made.WithLabelValues(outcome) // so that it is there, with zero, before the first one
		}
		return made
	}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("matrix_auth_"+name, help, labels, nil)
	}
	events := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "matrix_auth", Name: "session_events_total", Help: "What happened to sessions out of the ordinary."}, []string{"event"})
	for _, event := range model.SessionEvents {
		events.WithLabelValues(string(event))
	}
	return &Metrics{
		sessionEvents:  events,
		store:          s,
		limiter:        limiter,
		logins:         counter("logins_total", "Passwords tried and codes exchanged, by outcome.", results()),
		refreshes:      counter("refreshes_total", "Token refreshes by outcome.", results()),
		introspections: counter("introspections_total", "Introspections by outcome.", oauth.Outcomes),
		mails:          counter("mails_total", "Tries to hand a mail over, by outcome.", mailOutcomes()),
		hashSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "matrix_auth", Name: "password_hash_seconds", Help: "Time taken by password hashes.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5},
		}),
		population: populationCounter{store: s, now: s.Now},
		jobs:       desc("outbox_jobs", "Jobs that wait for the homeserver.", "kind"),
		setAside:   desc("outbox_jobs_set_aside", "Jobs that the homeserver refused for good.", "kind"),
		oldest:     desc("outbox_oldest_job_age_seconds", "Age of the job that waits longest; zero if none waits.", "kind"),
		lanes:      desc("outbox_lanes", "Users for whom jobs wait."),
		users:      desc("users", "Accounts by state.", "state"),
		sessions:   desc("sessions", "Live sessions by kind.", "kind"),
		limited:    desc("limited_total", "Requests refused by a limit, by its class.", "class"),
		up:         desc("database_up", "Whether the database answered this scrape. What it did not tell is missing."),
		backup:     desc("backup_timestamp_seconds", "When the newest backup was made, by the command or by itself; zero if none was."),
		failing:    desc("backup_failing", "Whether the last backup that was due by itself could not be made."),
		writable:   desc("database_writable", "Whether the last write to the database became durable."),
		damaged:    desc("database_damaged", "Whether a page of the database was found to be damaged since the start."),
		seal:       desc("seal_usable", "Whether what was sealed in the database can be opened, now and after the next start."),
	}
}

// results returns all outcomes that a request may have.
func results() []string {
	all := []string{model.Result(nil)}
	for _, code := range model.Codes {
		all = append(all, string(code))
	}
	return all
}

// mailSent is the outcome of a mail that was taken. The others are the stages at which one was not.
const mailSent = "sent"

func mailOutcomes() []string {
	all := []string{mailSent}
	for _, stage := range mail.Stages {
		all = append(all, string(stage))
	}
	return all
}

// CountMail counts a try to hand a mail over, by the stage at which it failed; empty if it was taken.
func (m *Metrics) CountMail(failed mail.Stage) {
	outcome := mailSent
	if failed != "" {
		outcome = string(failed)
	}
	m.mails.WithLabelValues(outcome).Inc()
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	for _, c := range []prometheus.Collector{m.logins, m.refreshes, m.introspections, m.sessionEvents, m.mails, m.hashSeconds} {
		c.Describe(out)
	}
	for _, d := range []*prometheus.Desc{m.jobs, m.setAside, m.oldest, m.lanes, m.users, m.sessions, m.limited, m.backup, m.failing, m.up, m.seal, m.writable, m.damaged} {
		out <- d
	}
}

// scrapeTimeout bounds what a scrape waits for the database.
const scrapeTimeout = 2 * time.Second

// Collect implements prometheus.Collector. The outbox is read when somebody asks.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	for _, c := range []prometheus.Collector{m.logins, m.refreshes, m.introspections, m.sessionEvents, m.mails, m.hashSeconds} {
		c.Collect(out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	// An invalid metric would have Caddy refuse the whole scrape, with the metrics of all else in it.
	err := errors.Join(m.collectOutbox(ctx, out), m.collectPopulation(ctx, out))
	gauge := func(d *prometheus.Desc, is bool) {
		value := 0.0
		if is {
			value = 1
		}
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
	gauge(m.up, err == nil)
	gauge(m.writable, m.store.CannotWrite() == nil)
	gauge(m.damaged, m.store.Damaged() != nil)
	for class, n := range m.limiter.Refused() {
		out <- prometheus.MustNewConstMetric(m.limited, prometheus.CounterValue, float64(n), class.String())
	}
	if usable, known := m.SealUsable(); known {
		gauge(m.seal, usable)
	}
	m.collectBackups(out)
}

// collectBackups tells when the newest backup was made, and whether they fail.
func (m *Metrics) collectBackups(out chan<- prometheus.Metric) {
	newest, failing := m.store.Copied(), 0.0
	if m.Backups != nil {
		if own, fails, configured := m.Backups(); configured {
			if newest = own; fails {
				failing = 1
			}
		}
	}
	out <- prometheus.MustNewConstMetric(m.failing, prometheus.GaugeValue, failing)
	at := 0.0
	if !newest.IsZero() {
		at = float64(newest.Unix())
	}
	out <- prometheus.MustNewConstMetric(m.backup, prometheus.GaugeValue, at)
}

// collectOutbox tells how much work waits, by its kind: lanes are users, who are in no metric.
func (m *Metrics) collectOutbox(ctx context.Context, out chan<- prometheus.Metric) error {
	var lanes int64
	counts := map[model.JobKind]store.JobCount{}
	err := m.store.View(ctx, func(tx *store.Tx) error {
		found, err := tx.CountJobs()
		if err != nil {
			return err
		}
		for _, c := range found {
			counts[c.Kind] = c
		}
		lanes, err = tx.CountLanes()
		return err
	})
	if err != nil {
		return err
	}
	for _, kind := range model.JobKinds {
		c, age := counts[kind], 0.0
		if !c.Oldest.IsZero() {
			age = max(0, m.store.Now().Sub(c.Oldest).Seconds())
		}
		out <- prometheus.MustNewConstMetric(m.jobs, prometheus.GaugeValue, float64(c.Waiting), string(kind))
		out <- prometheus.MustNewConstMetric(m.setAside, prometheus.GaugeValue, float64(c.SetAside), string(kind))
		out <- prometheus.MustNewConstMetric(m.oldest, prometheus.GaugeValue, age, string(kind))
	}
	out <- prometheus.MustNewConstMetric(m.lanes, prometheus.GaugeValue, float64(lanes))
	return nil
}

// collectPopulation tells how many users and sessions there are, or nothing: a zero would look as if
// everybody had gone.
func (m *Metrics) collectPopulation(ctx context.Context, out chan<- prometheus.Metric) error {
	p, known, err := m.population.take(ctx)
	if !known {
		return err
	}
	for state, n := range map[string]int64{"active": p.Active, "locked": p.Locked, "deactivated": p.Deactivated} {
		out <- prometheus.MustNewConstMetric(m.users, prometheus.GaugeValue, float64(n), state)
	}
	for _, kind := range model.SessionKinds {
		out <- prometheus.MustNewConstMetric(m.sessions, prometheus.GaugeValue, float64(p.Sessions[kind]), string(kind))
	}
	return err
}

// CountGrant counts an OAuth token request: a code begins a session, as a login does.
func (m *Metrics) CountGrant(grantType, outcome string) {
	if g, _ := model.FindGrantType(grantType); g.Begins {
		m.logins.WithLabelValues(outcome).Inc()
		return
	}
	m.refreshes.WithLabelValues(outcome).Inc()
}

// CountIntrospection counts an introspection.
func (m *Metrics) CountIntrospection(outcome string) {
	m.introspections.WithLabelValues(outcome).Inc()
}

// CountSession counts what happens to a session out of the ordinary.
func (m *Metrics) CountSession(event model.SessionEvent) {
	m.sessionEvents.WithLabelValues(string(event)).Inc()
}

// ObserveHash notes how long the hash of a password took.
func (m *Metrics) ObserveHash(took time.Duration) { m.hashSeconds.Observe(took.Seconds()) }

// CountCompat counts a login or a refresh of the legacy API, or a sign-in at our pages.
func (m *Metrics) CountCompat(operation, outcome string) {
	if operation == "login" {
		m.logins.WithLabelValues(outcome).Inc()
		return
	}
	m.refreshes.WithLabelValues(outcome).Inc()
}
