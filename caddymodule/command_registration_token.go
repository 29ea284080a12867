package caddymodule

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	qrcode "github.com/skip2/go-qrcode"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

func registrationTokenCommand() *cobra.Command {
	return groupCommand("registration-token", "Invitations: tokens by which people make an account",
		invitationCreateCommand(), invitationListCommand(), invitationShowCommand(), invitationRevokeCommand())
}

func invitationCreateCommand() *cobra.Command {
	var n matrixauth.NewInvitation
	var expires string
	cmd := operatorCommand("create", "Makes an invitation, and prints its link", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string, o *matrixauth.Operator) error {
			life, err := caddy.ParseDuration(expires)
			if expires != "never" {
				if err != nil || life <= 0 {
					return fmt.Errorf("--expires takes a time such as 7d or 12h, or never, not %q", expires)
				}
				n.Life = life
			}
			made, err := matrixauth.CreateInvitation.Do(cmd.Context(), o, n)
			if err != nil {
				return err
			}
			return printInvitation(cmd, made)
		})
	cmd.Flags().Int64Var(&n.Uses, "uses", 1, "How many accounts it is good for; 0 for any number")
	cmd.Flags().StringVar(&expires, "expires", "7d", "For how long it is good, such as 7d or 12h, or never")
	cmd.Flags().StringVar(&n.Token, "token", "", "What people type (default: 16 random letters and digits)")
	cmd.Flags().StringVar(&n.Localpart, "name", "", "The user name that the account will have")
	cmd.Flags().StringVar(&n.Email, "email", "", "The mail address that the account will have")
	jsonFlag(cmd)
	return cmd
}

func invitationListCommand() *cobra.Command {
	var asked matrixauth.InvitationQuery
	cmd := operatorCommand("list", "Lists all invitations, the newest first, without their tokens", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string, o *matrixauth.Operator) error {
			list := newList(cmd, []string{"ID", "STATE", "USED", "NAME", "EMAIL", "EXPIRES"}, func(t matrixauth.RegistrationToken) []string {
				return []string{t.ID, t.State, usesOf(t), cmp.Or(t.Localpart, "-"), cmp.Or(t.Email, "-"), expiry(t.ExpiresAt)}
			})
			return list.all(func() (tokens []matrixauth.RegistrationToken, more bool, err error) {
				page, err := matrixauth.ListInvitations.Do(cmd.Context(), o, asked)
				asked.After = page.Next
				return page.Tokens, page.Next != "", err
			})
		})
	jsonFlag(cmd)
	return cmd
}

func invitationShowCommand() *cobra.Command {
	cmd := operatorCommand("show INVITATION", "Prints the link of an invitation again", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			found, err := matrixauth.ShowInvitation.Do(cmd.Context(), o, matrixauth.InvitationRef{Token: args[0]})
			if err != nil {
				return err
			}
			return printInvitation(cmd, found)
		})
	jsonFlag(cmd)
	return cmd
}

func invitationRevokeCommand() *cobra.Command {
	return operatorCommand("revoke INVITATION", "Has an invitation let nobody in any more; accounts that were made stay", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			revoked, err := matrixauth.RevokeInvitation.Do(cmd.Context(), o, matrixauth.InvitationRef{Token: args[0]})
			if err != nil {
				return err
			}
			return say(cmd.OutOrStdout(), "%s is revoked", revoked.ID)
		})
}

func usesOf(t matrixauth.RegistrationToken) string {
	if t.Uses == 0 {
		return strconv.FormatInt(t.Used, 10)
	}
	return fmt.Sprintf("%d of %d", t.Used, t.Uses)
}

func expiry(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return formatTime(at)
}

// printInvitation prints an invitation: the link alone to a program, and with a QR code to a person.
func printInvitation(cmd *cobra.Command, i matrixauth.Invitation) error {
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), i)
	}
	if i.Off {
		if err := say(cmd.ErrOrStderr(), "nobody can register yet: write registration token into the Caddyfile"); err != nil {
			return err
		}
	}
	if i.State != "valid" {
		if err := say(cmd.ErrOrStderr(), "this invitation is %s", i.State); err != nil {
			return err
		}
	}
	if err := say(cmd.OutOrStdout(), "%s", i.Link); err != nil {
		return err
	}
	if out, ok := cmd.OutOrStdout().(*os.File); !ok || !term.IsTerminal(int(out.Fd())) {
		return nil
	}
	code, err := qrcode.New(i.Link, qrcode.Medium)
	if err != nil {
		return err
	}
	return say(cmd.OutOrStdout(), "\n%s\ntoken %s, good for %s, until %s", code.ToSmallString(false), i.Token, accounts(i.Uses), expiry(i.ExpiresAt))
}

func accounts(uses int64) string {
	switch uses {
	case 0:
		return "any number of accounts"
	case 1:
		return "one account"
	}
	return fmt.Sprintf("%d accounts", uses)
}
