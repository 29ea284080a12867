package house

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics returns what a scrape would read, by name without its prefix, and label. Of a histogram it is the number of samples.
func (h *House) Metrics() map[string]float64 {
	h.T.Helper()
	registry := prometheus.NewPedanticRegistry()
	h.Must(registry.Register(h.Core.Metrics()))
	families, err := registry.Gather()
	h.Must(err)
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
