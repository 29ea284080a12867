package caddymodule

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// timeForms are the forms in which commands take a time: as lists show it, that shortened, and as JSON has it. Without
// a zone it is local.
var timeForms = []string{shownTime, "2006-01-02 15:04", "2006-01-02", time.RFC3339Nano}

// parseTime reads a time that somebody typed.
func parseTime(text string) (time.Time, error) {
	for _, form := range timeForms {
		if at, err := time.ParseInLocation(form, text, time.Local); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time; write it as %q, or as 2026-01-31T12:00:00Z", text, "2026-01-31 12:00:00")
}

// lostFlags are the flags of "session lost".
type lostFlags struct {
	end, all, dryRun bool
	before           string
}

// time returns the time of --before; zero without it.
func (f lostFlags) time() (time.Time, error) {
	if f.before == "" {
		return time.Time{}, nil
	}
	at, err := parseTime(f.before)
	if err != nil {
		err = fmt.Errorf("--before: %w", err)
	}
	return at, err
}

// check refuses flags that do not go together.
func (f lostFlags) check(cmd *cobra.Command) error {
	switch {
	case f.end && f.all:
		return errors.New("--all is for the list, and not for --end")
	case f.end && wantsJSON(cmd):
		return errors.New("--json is for the list, and not for --end")
	case !f.end && f.dryRun:
		return errors.New("--dry-run is for --end")
	}
	return nil
}

func sessionLostCommand() *cobra.Command {
	var flags lostFlags
	cmd := operatorCommand("lost", "Lists the sessions that apps have and the database does not know, or ends them", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string, o *matrixauth.Operator) error {
			before, err := flags.time()
			if err == nil {
				err = flags.check(cmd)
			}
			if err != nil {
				return err
			}
			if flags.end {
				return endLost(cmd, o, matrixauth.LostSessionsToEnd{Before: before, DryRun: flags.dryRun})
			}
			return listLost(cmd, o, matrixauth.LostQuery{Before: before, All: flags.all})
		})
	cmd.Flags().BoolVar(&flags.end, "end", false, "End those that began before --before, also those that nobody has seen yet")
	cmd.Flags().StringVar(&flags.before, "before", "", "Only sessions that began before this time (default: all, and with --end those that began before now)")
	cmd.Flags().BoolVar(&flags.all, "all", false, "Sessions that have ended too")
	dryRunFlag(cmd, &flags.dryRun)
	yesFlag(cmd)
	jsonFlag(cmd)
	return cmd
}

func listLost(cmd *cobra.Command, o *matrixauth.Operator, asked matrixauth.LostQuery) error {
	header := []string{"ID", "KIND", "BEGAN", "FIRST SEEN", "LAST SEEN", "REFRESHES", "INTROSPECTIONS", "LAST IP", "APP"}
	if asked.All {
		header = append(header, "ENDED BY")
	}
	list := newList(cmd, header, func(s matrixauth.LostSession) []string {
		row := []string{
			s.ID, s.Kind, formatTime(s.BeganAt), formatTime(s.FirstSeenAt), formatTime(s.LastSeenAt), fmt.Sprint(s.Refreshes), fmt.Sprint(s.Introspections),
			s.LastIP, s.UserAgent,
		}
		if asked.All {
			row = append(row, s.Ended)
		}
		return row
	})
	return list.all(func() (sessions []matrixauth.LostSession, more bool, err error) {
		page, err := matrixauth.ListLostSessions.Do(cmd.Context(), o, asked)
		asked.After = page.Next
		return page.Sessions, page.Next != "", err
	})
}

func endLost(cmd *cobra.Command, o *matrixauth.Operator, toEnd matrixauth.LostSessionsToEnd) error {
	if !toEnd.DryRun {
		if err := confirm(cmd, "End the sessions that the database does not know? Their apps have to sign in again, and some lose the keys of their messages; a newer database that you put back later knows them again."); err != nil {
			return err
		}
	}
	ended, err := matrixauth.EndLostSessions.Do(cmd.Context(), o, toEnd)
	if err != nil {
		return err
	}
	if toEnd.DryRun {
		return say(cmd.OutOrStdout(), "%d that were seen would end, and all others that began before %s and are unknown; nothing is changed", ended.Sessions, formatTime(ended.Before))
	}
	return say(cmd.OutOrStdout(), "%d that were seen ended, and all others that began before %s and are unknown", ended.Sessions, formatTime(ended.Before))
}
