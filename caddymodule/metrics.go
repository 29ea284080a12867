package caddymodule

import (
	"context"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// builtWith are the versions of this program. A program that cannot tell them, as it was built without cgo,
// cannot open a database either.
var builtWith = sync.OnceValues(func() (versions, error) { return readVersions(context.Background()) })

// appMetrics are what can be told of an instance also while it is not open. Those of the open database are
// matrixauth.Metrics.
type appMetrics struct{ app *App }

var (
	readyDesc     = prometheus.NewDesc("matrix_auth_ready", "Whether the database is open and logins are answered.", nil, nil)
	listeningDesc = prometheus.NewDesc("matrix_auth_internal_listen_up", "Whether the address for the homeserver is open.", []string{"address"}, nil)
	buildDesc     = prometheus.NewDesc("matrix_auth_build_info", "The module's version, and those of what it is built with; always 1.", []string{"version", "schema", "sqlite", "caddy", "go"}, nil)
	refusedDesc   = prometheus.NewDesc("matrix_auth_internal_listen_refused_total", "Tries to open an address for the homeserver that failed.", nil, nil)
)

// Describe implements prometheus.Collector.
func (appMetrics) Describe(out chan<- *prometheus.Desc) {
	out <- buildDesc
	out <- readyDesc
	out <- listeningDesc
	out <- refusedDesc
}

// Collect implements prometheus.Collector.
func (m appMetrics) Collect(out chan<- prometheus.Metric) {
	if v, err := builtWith(); err == nil {
		out <- prometheus.MustNewConstMetric(buildDesc, prometheus.GaugeValue, 1, v.Version, strconv.FormatInt(v.Schema, 10), v.SQLite, v.Caddy, v.Go)
	}
	out <- prometheus.MustNewConstMetric(readyDesc, prometheus.GaugeValue, boolGauge(m.app.server.Load() != nil))
	for _, l := range m.app.listeners {
		// An address that the machine does not have, and need not, is no trouble.
		out <- prometheus.MustNewConstMetric(listeningDesc, prometheus.GaugeValue, boolGauge(l.refused() == nil), l.server.address)
	}
	out <- prometheus.MustNewConstMetric(refusedDesc, prometheus.CounterValue, float64(refusedBinds.Load()))
}

func boolGauge(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
