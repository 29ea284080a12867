package caddymodule

import (
	"encoding/json"
	"testing"
)

// TestScore: the score that lets all pass is told from none, in a Caddyfile and in JSON.
func TestScore(t *testing.T) {
	var read Score
	if problem := read.readArguments([]string{"0"}); problem != "" {
		t.Fatal(problem)
	}
	for _, p := range []Passwords{{MinScore: read}, {MinScore: Score{true, 4}}, {}} {
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var back Passwords
		if err := json.Unmarshal(text, &back); err != nil || back != p {
			t.Errorf("%s becomes %+v, %v", text, back, err)
		}
		if got := p.config().MinScore; (got != nil) != p.MinScore.Set || got != nil && *got != p.MinScore.Value {
			t.Errorf("%s configures %v", text, got)
		}
	}
	for _, args := range [][]string{{"5"}, {"-1"}, {"three"}, {}, {"1", "2"}, {""}} {
		if problem := read.readArguments(args); problem == "" {
			t.Errorf("%q is taken", args)
		}
	}
}
