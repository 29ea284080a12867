package tests

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// exposed is what a scrape found: the metrics by their names.
type exposed map[string]*dto.MetricFamily

// scrape reads the metrics of a running Caddy as Prometheus does, and has Prometheus's linter judge them.
func scrape(t *testing.T, c *rig.Caddy) (found exposed, text string) {
	t.Helper()
	client := &http.Client{Timeout: rig.Deadline, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(c.Dir, "admin.sock"))
	}}}
	response, err := client.Get("http://127.0.0.1/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%d %v %s", response.StatusCode, err, body)
	}
	p := expfmt.NewTextParser(model.LegacyValidation)
	families, err := p.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.New(bytes.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		if strings.HasPrefix(problem.Metric, "matrix_auth_") {
			t.Errorf("%s: %s", problem.Metric, problem.Text)
		}
	}
	return families, string(body)
}

// ours are the names of the module's metrics.
func (e exposed) ours() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(e)), func(name string) bool { return !strings.HasPrefix(name, "matrix_auth_") })
}

// value is that of a metric with a label of a value, or with none.
func (e exposed) value(t *testing.T, name, label string) float64 {
	t.Helper()
	for _, m := range e[name].GetMetric() {
		if label == "" || slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetValue() == label }) {
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Errorf("%s %s is not there", name, label)
	return 0
}

// labelsOf are the labels of a metric with the values that they have.
func (e exposed) labelsOf(name string) (known map[string][]string, there bool) {
	family := e[name]
	if base, ok := strings.CutSuffix(name, "_bucket"); ok && e[base] != nil {
		family = e[base]
	}
	known = map[string][]string{"instance": nil, "le": nil} // the first is made by Prometheus
	for _, m := range family.GetMetric() {
		for _, l := range m.GetLabel() {
			known[l.GetName()] = append(known[l.GetName()], l.GetValue())
		}
	}
	return known, family != nil
}

// judge holds that an expression is one, and asks only for what there is.
func (e exposed) judge(t *testing.T, where, text string) {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return
	}
	selectors := 0
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if a, ok := node.(*parser.AggregateExpr); ok && !a.Without {
			e.judgeGrouping(t, where, a)
		}
		v, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		selectors++
		known, there := e.labelsOf(v.Name)
		if !there {
			t.Errorf("%s: nothing is called %s", where, v.Name)
			return nil
		}
		for _, m := range v.LabelMatchers {
			values, there := known[m.Name]
			switch {
			case m.Name == model.MetricNameLabel || m.Name == "instance":
			case strings.HasPrefix(m.Type.String(), "!") && there:
				// What is left out need not be there at the moment.
			case !there:
				t.Errorf("%s: %s has no label %s", where, v.Name, m.Name)
			default:
				for _, value := range strings.Split(m.Value, "|") {
					if !slices.Contains(values, value) {
						t.Errorf("%s: the label %s of %s is never %q", where, m.Name, v.Name, value)
					}
				}
			}
		}
		return nil
	})
	if selectors == 0 {
		t.Errorf("%s asks for nothing: %s", where, text)
	}
}

// judgeGrouping holds that what a sum is split by is a label of what is summed.
func (e exposed) judgeGrouping(t *testing.T, where string, a *parser.AggregateExpr) {
	t.Helper()
	parser.Inspect(a.Expr, func(node parser.Node, _ []parser.Node) error {
		v, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		known, _ := e.labelsOf(v.Name)
		for _, by := range a.Grouping {
			if _, there := known[by]; !there {
				t.Errorf("%s: %s has no label %s", where, v.Name, by)
			}
		}
		return nil
	})
}

var documentedMetric = regexp.MustCompile("(?m)^\\| `(matrix_auth_[a-z_]+)` \\| (gauge|counter|histogram) \\| ([^|]*)\\|")

// TestMetrics has a real Caddy serve its metrics, and holds the page, the alert rules and the dashboard against
// them by Prometheus's own libraries (KEY-6).
func TestMetrics(t *testing.T) {
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{})
	first, _ := scrape(t, h.Caddy)
	for name, label := range map[string]string{
		"matrix_auth_logins_total": "ok", "matrix_auth_refreshes_total": "temporarily_unavailable", "matrix_auth_introspections_total": "failed",
		"matrix_auth_users": "active", "matrix_auth_sessions": "oauth", "matrix_auth_limited_total": "logins_by_network", "matrix_auth_outbox_jobs": "delete_device",
		"matrix_auth_backup_timestamp_seconds": "",
	} {
		if got := first.value(t, name, label); got != 0 {
			t.Errorf("%s %s is %v before anything happened", name, label, got)
		}
	}

	password := h.AddUser("alice")
	token := h.Login("alice", password, nil).Must(t, http.StatusOK).Text("access_token")
	h.Call(http.MethodGet, "/v3/account/whoami", token, nil).Must(t, http.StatusOK)
	h.Login("alice", "wrong", nil).Must(t, http.StatusForbidden)
	before := time.Now()
	h.MustCommand("", "backup", filepath.Join(t.TempDir(), "copy.db"))
	found, text := scrape(t, h.Caddy)
	for name, want := range map[string]float64{
		"matrix_auth_ready": 1, "matrix_auth_database_up": 1, "matrix_auth_build_info": 1, "matrix_auth_internal_listen_up": 1,
		"matrix_auth_users active": 1, "matrix_auth_sessions compat": 1, "matrix_auth_logins_total ok": 1, "matrix_auth_logins_total invalid_credentials": 1,
	} {
		metric, label, _ := strings.Cut(name, " ")
		if got := found.value(t, metric, label); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if got := found.value(t, "matrix_auth_introspections_total", "active"); got < 1 {
		t.Errorf("Synapse's question was not counted: %v", got)
	}
	if at := found.value(t, "matrix_auth_backup_timestamp_seconds", ""); at < float64(before.Unix()) {
		t.Errorf("the backup was taken at %v", at)
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "matrix_auth") && (strings.Contains(line, "alice") || strings.Contains(line, token) || strings.Contains(line, h.Secret)) {
			t.Errorf("a metric tells too much: %s", line)
		}
	}

	for _, name := range found.ours() {
		for _, m := range found[name].GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "job" || l.GetName() == "instance" {
					t.Errorf("%s has the label %s, which Prometheus gives itself", name, l.GetName())
				}
			}
		}
	}
	t.Run("a restart knows the backup", func(t *testing.T) {
		h.Caddy.Stop()
		h.Caddy.Start()
		after, _ := scrape(t, h.Caddy)
		if at := after.value(t, "matrix_auth_backup_timestamp_seconds", ""); at < float64(before.Unix()) {
			t.Errorf("the backup was taken at %v", at)
		}
	})
	t.Run("a lost seal", func(t *testing.T) { lostSeal(t, h, "alice", password) })
	t.Run("the page", func(t *testing.T) { holdMetricsPage(t, found) })
	t.Run("the alert rules", func(t *testing.T) { holdAlerts(t, found) })
	t.Run("the dashboard", func(t *testing.T) { holdDashboard(t, found) })
}

func docs(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(rig.Tests(), "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func holdMetricsPage(t *testing.T, found exposed) {
	var documented []string
	for _, row := range documentedMetric.FindAllStringSubmatch(string(docs(t, "metrics.md")), -1) {
		name, kind := row[1], row[2]
		documented = append(documented, name)
		if got := strings.ToLower(found[name].GetType().String()); got != kind {
			t.Errorf("%s is a %s, and the page says %s", name, got, kind)
		}
		known, _ := found.labelsOf(name)
		delete(known, "instance")
		delete(known, "le")
		for label := range known {
			if !strings.Contains(row[3], "`"+label+"`") {
				t.Errorf("the page does not tell of the label %s of %s", label, name)
			}
		}
		if got := strings.Count(row[3], "`") / 2; got != len(known) {
			t.Errorf("the page tells of %d labels of %s, which has %v", got, name, slices.Collect(maps.Keys(known)))
		}
	}
	slices.Sort(documented)
	if !slices.Equal(documented, found.ours()) {
		t.Errorf("documented %v\nserved     %v", documented, found.ours())
	}
}

func holdAlerts(t *testing.T, found exposed) {
	groups, errs := rulefmt.Parse(docs(t, "alerts.yml"), false, model.LegacyValidation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	rules := 0
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			rules++
			found.judge(t, rule.Alert, rule.Expr)
			if rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				t.Errorf("%s does not say how bad it is, or what to do", rule.Alert)
			}
		}
	}
	if rules == 0 {
		t.Error("there are no rules")
	}
}

func holdDashboard(t *testing.T, found exposed) {
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(docs(t, "grafana.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	shown, ids := "", map[int]bool{}
	for _, panel := range dashboard.Panels {
		if ids[panel.ID] || len(panel.Targets) == 0 {
			t.Errorf("%s: its id is another panel's, or it shows nothing", panel.Title)
		}
		ids[panel.ID] = true
		for _, target := range panel.Targets {
			// Grafana puts the two in before Prometheus sees them.
			expr := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(target.Expr)
			found.judge(t, panel.Title, expr)
			shown += expr + "\n"
		}
	}
	for _, name := range found.ours() {
		if !strings.Contains(shown, name) {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}
