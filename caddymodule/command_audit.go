package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// auditShown is how many events are shown if nobody says how many.
const auditShown = 100

func auditCommand() *cobra.Command {
	var asked matrixauth.EventQuery
	var limit int
	cmd := operatorCommand("audit", "Lists who changed what of which account, the newest first", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string, o *matrixauth.Operator) error {
			if limit < 1 {
				return errors.New("--limit must be 1 or more")
			}
			list := newList(cmd, []string{"TIME", "BY", "ACTION", "USER", "FROM", "DETAILS"}, eventRow)
			for left := limit; left > 0; {
				asked.Limit = left
				page, err := matrixauth.ListEvents.Do(cmd.Context(), o, asked)
				if err != nil {
					return err
				}
				if err := list.add(page.Events); err != nil {
					return err
				}
				left -= len(page.Events)
				if asked.Before = page.Next; asked.Before == 0 {
					break
				}
			}
			return list.end()
		})
	cmd.Flags().StringVar(&asked.User, "user", "", "Only what was done to this user's account")
	cmd.Flags().IntVar(&limit, "limit", auditShown, "How many are shown at most")
	jsonFlag(cmd)
	return cmd
}

func eventRow(e matrixauth.Event) []string {
	by := e.By.Kind
	if name := cmp.Or(e.By.Name, e.By.ID); name != "" {
		by += " " + name
	}
	var details []string
	for _, name := range slices.Sorted(maps.Keys(e.Details)) {
		details = append(details, fmt.Sprintf("%s=%v", name, e.Details[name]))
	}
	return []string{formatTime(e.At), by, e.Action, cmp.Or(e.User, e.UserID), e.By.IP, strings.Join(details, " ")}
}
