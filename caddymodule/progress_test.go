package caddymodule

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// TestProgressInALog: where nobody sees a bar, a line comes at each quarter, however many steps there are.
func TestProgressInALog(t *testing.T) {
	for name, c := range map[string]struct {
		total, step int64
		lines       int
	}{
		"many steps":         {total: 100_000, step: 400, lines: 4},
		"a step for each":    {total: 8, step: 1, lines: 4},
		"fewer than lines":   {total: 2, step: 1, lines: 2},
		"all in one":         {total: 300, step: 300, lines: 1},
		"nothing to be done": {total: 0, step: 1, lines: 0},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			p := newProgress(&out, "taken over")
			for done := c.step; done <= c.total; done += c.step {
				p.tell(matrixauth.MoveProgress{Done: done, Total: c.total})
			}
			must(t, p.end(nil))
			if strings.Count(out.String(), "\n") != c.lines {
				t.Errorf("it said\n%s", out.String())
			}
		})
	}
}

// TestProgressOnATerminal: a bar counts, tells the rate and the time left, and ends full in a line of its own. One that does
// not come to its end leaves its line too.
func TestProgressOnATerminal(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, "taken over")
	p.terminal = true
	for _, done := range []int64{400, 800, 990} { // some cannot come
		p.tell(matrixauth.MoveProgress{Done: done, Total: 1000})
	}
	must(t, p.end(nil))
	last := out.String()[strings.LastIndex(out.String(), "\r"):]
	if !strings.Contains(last, "taken over 100%") || !strings.Contains(last, "(1000/1000, ") || !strings.HasSuffix(last, "\n") {
		t.Errorf("the bar ends as %q", last)
	}

	out.Reset()
	p = newProgress(&out, "taken over")
	p.terminal = true
	p.tell(matrixauth.MoveProgress{Done: 400, Total: 1000})
	interrupted := errors.New("interrupted")
	if err := p.end(interrupted); !errors.Is(err, interrupted) || strings.Contains(out.String(), "100%") || !strings.HasSuffix(out.String(), "\n") {
		t.Errorf("%v, after %q", err, out.String())
	}
}
