package caddymodule

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

func mailCommand() *cobra.Command {
	return groupCommand("mail", "The mails that are sent to people", mailTestCommand())
}

func mailTestCommand() *cobra.Command {
	var p matrixauth.MailTest
	cmd := operatorCommand("test ADDRESS", "Sends a mail now and tells what the mail server said", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			p.Address = args[0]
			tried, err := matrixauth.TestMail.Do(cmd.Context(), o, p)
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				if err := printJSON(cmd.OutOrStdout(), tried); err != nil {
					return err
				}
				if !tried.Accepted {
					return errors.New("the mail was not taken")
				}
				return nil
			}
			return tellTried(cmd, tried)
		})
	cmd.Flags().StringVar(&p.Language, "language", "", "The language of the mail, such as de")
	jsonFlag(cmd)
	return cmd
}

// tellTried says what came of a mail.
func tellTried(cmd *cobra.Command, tried matrixauth.MailTried) error {
	switch {
	case tried.Accepted && tried.Said == "":
		return say(cmd.OutOrStdout(), "the mail was taken; look whether it arrives, and whether among the spam")
	case tried.Accepted:
		return say(cmd.OutOrStdout(), "the mail was taken (%s); look whether it arrives, and whether among the spam", tried.Said)
	case tried.Retried:
		return errors.New("the mail was not taken: " + tried.Said + "; mails that fail so wait and are tried again")
	}
	return errors.New("the mail was not taken: " + tried.Said + "; mails that fail so are set aside")
}
