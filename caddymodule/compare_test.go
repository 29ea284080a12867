package caddymodule

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// TestCompareParts: a comparison is bounded in number and time unless all is asked for, and tells how far it is.
func TestCompareParts(t *testing.T) {
	for name, c := range map[string]struct {
		all              bool
		each             time.Duration // that a part takes
		parts, asked     int
		complete         bool
		progress, failed int
	}{
		"a few":                         {each: time.Second, parts: 3, asked: 3, complete: true},
		"none":                          {parts: 1, asked: 1, complete: true},
		"many":                          {parts: 100, asked: 20},
		"many, all of them":             {all: true, parts: 100, asked: 100, complete: true},
		"slow":                          {each: 4 * time.Second, parts: 100, asked: 8, progress: 3},
		"slow, all of them":             {all: true, each: 4 * time.Second, parts: 100, asked: 100, complete: true, progress: 49},
		"a homeserver that fails later": {all: true, parts: 100, asked: 4, failed: 4},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			asked := 0
			var out bytes.Buffer
			got, err := compareParts(&out, c.all, func() time.Time { return now }, func(after string) (part matrixauth.Compared, err error) {
				if want := map[bool]string{true: fmt.Sprint(asked)}[asked > 0]; after != want {
					t.Fatalf("part %d begins behind %q", asked, after)
				}
				if asked++; asked == c.failed {
					return part, errors.New("no answer")
				}
				now = now.Add(c.each)
				part = matrixauth.Compared{Compared: 100, Waiting: 1, Accounts: 100 * c.parts, Differences: make([]matrixauth.Difference, 2)}
				if asked < c.parts {
					part.Next = fmt.Sprint(asked)
				}
				return part, nil
			})
			if asked != c.asked || got.complete != c.complete || (err != nil) != (c.failed > 0) || strings.Count(out.String(), "\n") != c.progress {
				t.Fatalf("asked %d times, %+v, %v, and said\n%s", asked, got, err, out.String())
			}
			if done := asked; err == nil && (got.compared != 100*done || got.waiting != done || len(got.differences) != 2*done) {
				t.Errorf("got %+v", got)
			}
			if c.progress > 0 && !strings.HasPrefix(out.String(), "200 of 10000 accounts compared\n") {
				t.Errorf("it said\n%s", out.String())
			}
		})
	}
}

// TestSummarize: what is a fault is shown one by one, and what is none in a line.
func TestSummarize(t *testing.T) {
	var findings []matrixauth.Finding
	for i := range 12 {
		findings = append(findings, matrixauth.DifferenceFinding(matrixauth.Difference{Kind: "device_without_session", User: "alice", DeviceID: fmt.Sprintf("D%02d", i)}))
	}
	findings = append(findings, matrixauth.DifferenceFinding(matrixauth.Difference{Kind: "locked_at_homeserver_only", User: "bob"}),
		matrixauth.DifferenceFinding(matrixauth.Difference{Kind: "device_without_session", User: "bob", DeviceID: "OLD", Certain: true}))
	kept := summarize(findings)
	if len(kept) != 3 || kept[0].Where != "account bob" || kept[0].OK || kept[1].OK || !kept[2].OK {
		t.Fatalf("got %+v", kept)
	}
	if text := kept[2].What; !strings.HasPrefix(text, "12 devices at Synapse") || !strings.Contains(text, "D09 of alice, and more") || strings.Contains(text, "D10") {
		t.Errorf("got %s", text)
	}
	if kept := summarize(findings[12:]); len(kept) != 2 {
		t.Errorf("got %+v", kept)
	}
}
