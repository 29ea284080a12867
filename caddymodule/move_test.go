package caddymodule

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// ended runs f as a command, and gives what it said and how it exits.
func ended(f func(cmd *cobra.Command) error) (said, exit string) {
	var out bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	if err := f(cmd); err != nil {
		exit = err.Error()
		if strings.HasPrefix(exit, "exiting with status ") != cmd.SilenceErrors {
			exit = "said twice: " + exit
		}
	}
	return out.String(), exit
}

// TestMoveVerdict: errors go before warnings, and each has an exit code of its own.
func TestMoveVerdict(t *testing.T) {
	stop := matrixauth.MoveFinding{Kind: matrixauth.MoveKind{Code: "broken", Weight: matrixauth.MoveStops}}
	warn := matrixauth.MoveFinding{Kind: matrixauth.MoveKind{Code: "odd", Weight: matrixauth.MoveWarns}}
	for name, c := range map[string]struct {
		refused []matrixauth.MoveFinding
		exit    string
		said    []string
	}{
		"nothing":    {said: []string{"nothing is in the way", "nothing was changed", "--write"}},
		"an error":   {[]matrixauth.MoveFinding{stop}, "exiting with status 2", []string{"to be mended first: broken", "nothing was changed"}},
		"a warning":  {[]matrixauth.MoveFinding{warn}, "exiting with status 3", []string{"--accept odd", "nothing was changed"}},
		"both":       {[]matrixauth.MoveFinding{stop, warn}, "exiting with status 2", []string{"to be mended first: broken", "--accept odd"}},
		"a few more": {[]matrixauth.MoveFinding{warn, warn}, "exiting with status 3", []string{"--accept odd --accept odd"}},
	} {
		t.Run(name, func(t *testing.T) {
			said, exit := ended(func(cmd *cobra.Command) error { return moveVerdict(cmd, c.refused) })
			if exit != c.exit {
				t.Errorf("it exits with %q", exit)
			}
			for _, want := range c.said {
				if !strings.Contains(said, want) {
					t.Errorf("it lacks %q: %s", want, said)
				}
			}
		})
	}
}

// TestMoveEndedEarly: an interrupt is told from what went wrong, and both say what is left of the run.
func TestMoveEndedEarly(t *testing.T) {
	interruptedContext, cancel := context.WithCancel(t.Context())
	cancel()
	said, exit := ended(func(cmd *cobra.Command) error {
		return moveEnded(interruptedContext, cmd, errors.New("the statement was cancelled"), "what was taken stays")
	})
	if exit != "exiting with status 130" || said != "interrupted; what was taken stays\n" {
		t.Errorf("it said %q and exits with %q", said, exit)
	}
	said, exit = ended(func(cmd *cobra.Command) error {
		return moveEnded(t.Context(), cmd, errors.New("the disk is full"), "what was taken stays")
	})
	if exit != "the disk is full; what was taken stays" || said != "" {
		t.Errorf("it said %q and exits with %q", said, exit)
	}
}

// TestMoveReportForPeople: a finding tells how often and of whom, up to the examples that it has, and what strangers chose
// is shown so that a terminal obeys none of it (HTTP-9).
func TestMoveReportForPeople(t *testing.T) {
	r := moveResult{Written: true, MoveReport: matrixauth.MoveReport{
		ServerName: "example.com", Database: "SQLite, /x", Caddyfile: []string{"registration {", "\tkind token", "}"},
		Counts: matrixauth.MoveCounts{Users: 1234},
		Taken:  matrixauth.MoveTaken{Users: 12, UsersChanged: 3, UsersGone: 4, Unchanged: 5, Kept: 6},
		Findings: []matrixauth.MoveFinding{
			{Kind: matrixauth.MoveKind{Code: "broken", Weight: matrixauth.MoveStops, What: "it is broken", Change: "mend it"}, Count: 11, Examples: []string{"@a:example.com", "\x1b[2J", "two  gaps"}},
			{Kind: matrixauth.MoveKind{Code: "odd", Weight: matrixauth.MoveLeft, What: "it is odd", Change: "nothing"}, Count: 1},
		},
	}}
	said, exit := ended(func(cmd *cobra.Command) error {
		return printMove(cmd, r, nil, configChange{problem: errors.New("no file")})
	})
	if exit != "" {
		t.Fatal(exit)
	}
	for _, want := range []string{
		"ERROR   broken (11): it is broken\n        such as: @a:example.com, \\x1b[2J, \"two  gaps\", …\n        to do:   mend it\n",
		"left    odd: it is odd\n\n",
		"TAKEN OVER           NEW  CHANGED  TAKEN AWAY\naccounts             12   3        4\n",
		"5 accounts are as they were", "6 changes at Synapse are not taken",
		"    registration {\n    \tkind token\n    }\n", "cannot be said: no file",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("it lacks %q:\n%s", want, said)
		}
	}
}
