package caddymodule

import (
	"cmp"
	"errors"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

func sessionCommand() *cobra.Command {
	return groupCommand("session", "Sessions", sessionListCommand(), sessionEndCommand(), sessionLostCommand())
}

func sessionListCommand() *cobra.Command {
	var asked matrixauth.SessionQuery
	cmd := operatorCommand("list [NAME]", "Lists the live sessions of a user, or of all", cobra.MaximumNArgs(1),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			header := []string{"ID", "KIND", "CLIENT", "DEVICE", "NAME", "CREATED", "LAST ACTIVE", "LAST IP", "TWICE"}
			if len(args) == 1 {
				asked.User = args[0]
			} else {
				header = append(header, "USER")
			}
			if asked.All || asked.Ended {
				header = append(header, "ENDED", "REASON")
			}
			list := newList(cmd, header, func(s matrixauth.Session) []string {
				row := []string{s.ID, s.Kind, cmp.Or(s.ClientName, s.ClientID), s.DeviceID, s.DeviceName, formatTime(s.CreatedAt), formatTime(s.LastActiveAt), s.LastIP, formatTime(s.TwiceAt)}
				if asked.User == "" {
					row = append(row, s.User)
				}
				if asked.All || asked.Ended {
					row = append(row, formatTime(s.EndedAt), s.EndReason)
				}
				return row
			})
			return list.all(func() (sessions []matrixauth.Session, more bool, err error) {
				page, err := matrixauth.ListSessions.Do(cmd.Context(), o, asked)
				asked.After = page.Next
				return page.Sessions, page.Next != "", err
			})
		})
	cmd.Flags().BoolVar(&asked.All, "all", false, "Sessions that have ended too, for as long as they are kept")
	cmd.Flags().BoolVar(&asked.Ended, "ended", false, "Only sessions that have ended")
	cmd.Flags().StringVar(&asked.ClientID, "client", "", "Only sessions of the app with this id")
	jsonFlag(cmd)
	return cmd
}

func sessionEndCommand() *cobra.Command {
	var user string
	var dryRun bool
	cmd := operatorCommand("end [ID]", "Ends a session, or with --user all sessions of a user", cobra.MaximumNArgs(1),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			toEnd := matrixauth.SessionsToEnd{User: user, DryRun: dryRun}
			what := "all sessions of " + user
			switch {
			case len(args) == 1 && user == "":
				toEnd.Session, what = args[0], "the session "+args[0]
			case len(args) == 0 && user != "":
			default:
				return errors.New("name one session by its id, or a user by --user")
			}
			if user != "" {
				u, err := matrixauth.ShowUser.Do(cmd.Context(), o, matrixauth.Name{User: user})
				if err != nil {
					return err
				}
				what = "all sessions of " + u.MatrixID
			}
			if toEnd.DryRun {
				ended, err := matrixauth.EndSessions.Do(cmd.Context(), o, toEnd)
				if err != nil {
					return err
				}
				return say(cmd.OutOrStdout(), "%d would end; nothing is changed", ended.Sessions)
			}
			if err := confirm(cmd, "End "+what+"? Its devices, and the keys on them, are lost."); err != nil {
				return err
			}
			ended, err := matrixauth.EndSessions.Do(cmd.Context(), o, toEnd)
			if err != nil {
				return err
			}
			return say(cmd.OutOrStdout(), "%d ended", ended.Sessions)
		})
	cmd.Aliases = []string{"kill"}
	cmd.Flags().StringVar(&user, "user", "", "End all sessions of this user")
	dryRunFlag(cmd, &dryRun)
	yesFlag(cmd)
	return cmd
}

func tokenCommand() *cobra.Command {
	return groupCommand("token", "Tokens for bots", tokenIssueCommand())
}

func tokenIssueCommand() *cobra.Command {
	var n matrixauth.NewToken
	cmd := operatorCommand("issue NAME", "Prints a new access token that does not expire", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			n.User = args[0]
			issued, err := matrixauth.IssueToken.Do(cmd.Context(), o, n)
			if err != nil {
				return err
			}
			if err := say(cmd.ErrOrStderr(), "device %s of %s", issued.DeviceID, issued.MatrixID); err != nil {
				return err
			}
			return say(cmd.OutOrStdout(), "%s", issued.Token)
		})
	cmd.Flags().StringVar(&n.DeviceID, "device-id", "", "The device; a session that it has is replaced (default: a new one)")
	cmd.Flags().StringVar(&n.DeviceName, "device-name", "", "The device's name")
	cmd.Flags().BoolVar(&n.Admin, "admin", false, "Let the token administer Synapse, if the user may")
	return cmd
}
