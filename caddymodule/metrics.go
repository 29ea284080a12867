package caddymodule

import "github.com/prometheus/client_golang/prometheus"

// appMetrics are what can be told of an instance also while it is not open. Those of the open database are
// matrixauth.Metrics.
type appMetrics struct{ app *App }

var (
	readyDesc     = prometheus.NewDesc("matrix_auth_ready", "Whether the database is open and logins are answered.", nil, nil)
	listeningDesc = prometheus.NewDesc("matrix_auth_internal_listen_up", "Whether the address for the homeserver is open.", []string{"address"}, nil)
	refusedDesc   = prometheus.NewDesc("matrix_auth_internal_listen_refused_total", "Tries to open an address for the homeserver that failed.", nil, nil)
)

// Describe implements prometheus.Collector.
func (appMetrics) Describe(out chan<- *prometheus.Desc) {
	out <- readyDesc
	out <- listeningDesc
	out <- refusedDesc
}

// Collect implements prometheus.Collector.
func (m appMetrics) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.MustNewConstMetric(readyDesc, prometheus.GaugeValue, truth(m.app.server.Load() != nil))
	for _, l := range m.app.listeners {
		// An address that the machine does not have, and need not, is no trouble.
		out <- prometheus.MustNewConstMetric(listeningDesc, prometheus.GaugeValue, truth(l.refused() == nil), l.server.address)
	}
	out <- prometheus.MustNewConstMetric(refusedDesc, prometheus.CounterValue, float64(refusedBinds.Load()))
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
