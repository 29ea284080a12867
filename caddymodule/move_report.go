package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// moveResult is what a move tells programs.
type moveResult struct {
	matrixauth.MoveReport
	// Written reports whether anything was taken over.
	Written bool `json:"written"`
	// InTheWay are the codes of the errors, and of the warnings that are not accepted.
	InTheWay []matrixauth.MoveCode `json:"in_the_way"`
	// Change is what will change in homeserver.yaml, without secrets, and ChangeProblem why that cannot be said.
	Change        string `json:"homeserver_yaml,omitempty"`
	ChangeProblem string `json:"homeserver_yaml_problem,omitempty"`
}

// printMove prints what a look or a run came to, and what else belongs to a move.
func printMove(cmd *cobra.Command, r moveResult, refused []matrixauth.MoveFinding, change configChange) error {
	r.InTheWay = []matrixauth.MoveCode{}
	for _, f := range refused {
		r.InTheWay = append(r.InTheWay, f.Code)
	}
	if change.problem != nil {
		r.ChangeProblem = change.problem.Error()
	} else {
		r.Change = change.Diff
	}
	w := cmd.OutOrStdout()
	if wantsJSON(cmd) {
		return printJSON(w, r)
	}
	errs := []error{say(w, "%s, %s", r.ServerName, r.Database), say(w, ""), printCounts(w, r.Counts), say(w, "")}
	for _, f := range r.Findings {
		errs = append(errs, printMoveFinding(w, f))
	}
	if len(r.Findings) > 0 {
		errs = append(errs, say(w, ""))
	}
	errs = append(errs, printTaken(w, r.Taken, r.Written))
	if len(r.Caddyfile) > 0 {
		errs = append(errs, say(w, ""), say(w, "lines of the Caddyfile, inside matrix_auth, that go on with Synapse's settings:"))
		for _, line := range r.Caddyfile {
			errs = append(errs, sayText(w, "    "+visibleLines(line, "    ")+"\n"))
		}
	}
	return errors.Join(append(errs, say(w, ""), r.printChange(cmd, change))...)
}

// printChange prints what will change in homeserver.yaml.
func (r moveResult) printChange(cmd *cobra.Command, change configChange) error {
	switch {
	case r.Delegated:
		return say(cmd.OutOrStdout(), "Synapse leaves logins to another already: homeserver.yaml stays as it is")
	case change.problem != nil:
		return say(cmd.OutOrStdout(), "what will change in homeserver.yaml cannot be said: %v", change.problem)
	}
	return errors.Join(say(cmd.OutOrStdout(), "what --write-config will change in homeserver.yaml:"), showChange(cmd, change.Migration))
}

func printCounts(w io.Writer, c matrixauth.MoveCounts) error {
	rows := [][]string{{"AT SYNAPSE", "ROWS"}}
	for _, one := range []struct {
		what string
		n    int64
	}{
		{"users", c.Users},
		{"devices", c.Devices},
		{"access tokens", c.AccessTokens},
		{"refresh tokens", c.RefreshTokens},
		{"mail addresses", c.Emails},
		{"other third-party ids", c.OtherThreepids},
		{"accounts at identity providers", c.ExternalIDs},
		{"registration tokens", c.RegistrationTokens},
	} {
		rows = append(rows, []string{one.what, strconv.FormatInt(one.n, 10)})
	}
	return printTable(w, rows)
}

// weightMarks are how findings begin, as wide as each other.
var weightMarks = map[string]string{"error": "ERROR  ", "warning": "WARNING", "left": "left   ", "note": "note   "}

func printMoveFinding(w io.Writer, f matrixauth.MoveFinding) error {
	times := ""
	if f.Count > 1 {
		times = fmt.Sprintf(" (%d)", f.Count)
	}
	err := say(w, "%s %s%s: %s", weightMarks[string(f.Weight)], f.Code, times, f.What)
	if len(f.Examples) > 0 {
		shown := make([]string, len(f.Examples))
		for i, example := range f.Examples {
			shown[i] = cell(example)
		}
		more := ""
		if f.Count > int64(len(shown)) {
			more = ", …"
		}
		err = errors.Join(err, say(w, "        such as: %s%s", strings.Join(shown, ", "), more))
	}
	if f.Change != "" && f.Change != "nothing" {
		err = errors.Join(err, say(w, "        to do:   %s", f.Change))
	}
	return err
}

// printTaken prints what a run did, or would do.
func printTaken(w io.Writer, t matrixauth.MoveTaken, written bool) error {
	rows := [][]string{{"WOULD BE TAKEN", "NEW", "CHANGED", "TAKEN AWAY"}}
	if written {
		rows[0][0] = "TAKEN OVER"
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	rows = append(rows,
		[]string{"accounts", number(t.Users), number(t.UsersChanged), number(t.UsersGone)},
		[]string{"sessions", number(t.Sessions), number(t.SessionsChanged), number(t.SessionsEnded)},
		[]string{"passwords", number(t.Passwords)},
		[]string{"mail addresses", number(t.Emails)},
		[]string{"tokens", number(t.Tokens)},
		[]string{"registration tokens", number(t.RegistrationTokens)},
	)
	if t.Waiting > 0 {
		rows = append(rows, []string{"waiting for approval", number(t.Waiting)})
	}
	err := errors.Join(printTable(w, rows), say(w, "%d accounts are as they were taken before", t.Unchanged))
	if t.Kept > 0 {
		err = errors.Join(err, say(w, "%d changes at Synapse are not taken, as the same was changed here (changed_here)", t.Kept))
	}
	return err
}

// moveVerdict says on standard error what keeps a run from writing, and gives its exit code.
func moveVerdict(cmd *cobra.Command, refused []matrixauth.MoveFinding) error {
	var stops, warns []string
	for _, f := range refused {
		if f.Weight == matrixauth.MoveStops {
			stops = append(stops, string(f.Code))
		} else {
			warns = append(warns, "--accept "+string(f.Code))
		}
	}
	w := cmd.ErrOrStderr()
	var err error
	if len(stops) > 0 {
		err = say(w, "to be mended first: %s", strings.Join(stops, ", "))
	}
	if len(warns) > 0 {
		err = errors.Join(err, say(w, "if you have read the warnings and accept them: %s", strings.Join(warns, " ")))
	}
	if len(refused) == 0 {
		return say(w, "nothing is in the way; nothing was changed; to take all over, run it again with --write")
	}
	if err = errors.Join(err, say(w, "nothing was changed")); err != nil {
		return err
	}
	if len(stops) > 0 {
		return exitWith(cmd, moveStopped)
	}
	return exitWith(cmd, moveUnaccepted)
}
