package doctor

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// TestDoctorComparesClocks reads the time of an answer of Synapse's.
func TestDoctorComparesClocks(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "auth.db"), Create: true, NoSync: true, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for name, test := range map[string]struct{ date, want string }{
		"the same":   {now.Add(-20 * time.Second).UTC().Format(http.TimeFormat), "clock"},
		"ahead":      {now.Add(time.Hour).UTC().Format(http.TimeFormat), "clock/off"},
		"behind":     {now.Add(-2 * time.Minute).UTC().Format(http.TimeFormat), "clock/off"},
		"no time":    {"", ""},
		"not a time": {"yesterday", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := &Visit{Config: Config{Store: s}}
			d.clock(answer{header: http.Header{"Date": {test.date}}})
			var ids []string
			for _, f := range d.Findings {
				ids = append(ids, f.ID)
			}
			if strings.Join(ids, " ") != test.want {
				t.Errorf("it found %+v", d.Findings)
			}
		})
	}
}
