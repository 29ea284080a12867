package caddymodule

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

func userCommand() *cobra.Command {
	return groupCommand("user", "Accounts",
		userAddCommand(), userListCommand(), userShowCommand(), userPasswordCommand(),
		userEmailCommand("add-email", "Adds a mail address, taken as verified", matrixauth.AddEmail),
		userEmailCommand("remove-email", "Removes a mail address", matrixauth.RemoveEmail),
		userDisplayNameCommand(),
		userChangeCommand("lock", "Keeps a user from everything but logging out; sessions and keys stay", matrixauth.LockUser),
		userChangeCommand("unlock", "Lets a locked user go on", matrixauth.UnlockUser),
		userDeactivateCommand(),
		userChangeCommand("reactivate", "Makes a deactivated account usable again", matrixauth.ReactivateUser),
		userAdminCommand("promote", "Allows a user to administer Synapse", true),
		userResetCommand(),
		userRecoveryCommand(),
		userAdminCommand("demote", "Takes the right to administer Synapse away, and ends the sessions that hold it", false),
	)
}

func userAddCommand() *cobra.Command {
	var n matrixauth.NewUser
	cmd := operatorCommand("add NAME", "Adds an account; asks for its password, or reads it from standard input", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			n.Localpart = args[0]
			// Nobody is to think of a password for an account that cannot be added.
			if _, err := matrixauth.CheckNewUser.Do(cmd.Context(), o, n); err != nil {
				return err
			}
			password, err := newPassword(cmd)
			if err != nil {
				return err
			}
			n.Password = password
			added, err := matrixauth.AddUser.Do(cmd.Context(), o, n)
			if err != nil {
				return err
			}
			if !added.DeactivatedAt.IsZero() {
				if err := say(cmd.ErrOrStderr(), "the account is deactivated, as at the homeserver; \"user reactivate %s\" makes it usable", added.Localpart); err != nil {
					return err
				}
			}
			return say(cmd.OutOrStdout(), "%s", added.MatrixID)
		})
	weakFlag(cmd, &n.Weak)
	cmd.Flags().StringVar(&n.Email, "email", "", "A mail address, taken as verified")
	cmd.Flags().StringVar(&n.DisplayName, "display-name", "", "The name that others see")
	cmd.Flags().BoolVar(&n.Admin, "admin", false, "Allow the account to administer Synapse")
	cmd.Flags().BoolVar(&n.Existing, "existing", false, "Take over an account that the homeserver has already")
	cmd.Flags().BoolVar(&n.Force, "force", false, "Add the account although the homeserver cannot be asked about the name, or has deactivated it")
	return cmd
}

func userListCommand() *cobra.Command {
	var asked matrixauth.UserQuery
	cmd := operatorCommand("list", "Lists all accounts", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string, o *matrixauth.Operator) error {
			list := newList(cmd, []string{"NAME", "STATE", "ADMIN", "SESSIONS", "EMAILS"}, func(u matrixauth.User) []string {
				return []string{u.Localpart, u.State, yesNo(u.Admin), fmt.Sprint(u.Sessions), strings.Join(u.Emails, " ")}
			})
			return list.all(func() (users []matrixauth.User, more bool, err error) {
				page, err := matrixauth.ListUsers.Do(cmd.Context(), o, asked)
				asked.After = page.Next
				return page.Users, page.Next != "", err
			})
		})
	cmd.Flags().StringVar(&asked.State, "state", "", "Only accounts that are active, locked or deactivated")
	cmd.Flags().BoolVar(&asked.Admin, "admin", false, "Only accounts that may administer Synapse")
	cmd.Flags().StringVar(&asked.Search, "search", "", "Only accounts whose name or mail address begins so")
	jsonFlag(cmd)
	return cmd
}

func userShowCommand() *cobra.Command {
	cmd := operatorCommand("show NAME", "Shows an account", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			u, err := matrixauth.ShowUser.Do(cmd.Context(), o, matrixauth.Name{User: args[0]})
			if err != nil {
				return err
			}
			return printUser(cmd, u)
		})
	jsonFlag(cmd)
	return cmd
}

func userPasswordCommand() *cobra.Command {
	var weak bool
	cmd := operatorCommand("set-password NAME", "Sets a password; asks for it, or reads it from standard input", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			// Nobody is to think of a password for an account that cannot have one.
			u, err := matrixauth.ShowUser.Do(cmd.Context(), o, matrixauth.Name{User: args[0]})
			if err != nil {
				return err
			}
			if !u.DeactivatedAt.IsZero() {
				return fmt.Errorf("the account %s is deactivated; reactivate it first", u.MatrixID)
			}
			password, err := newPassword(cmd)
			if err != nil {
				return err
			}
			u, err = matrixauth.SetPassword.Do(cmd.Context(), o, matrixauth.NameAndPassword{Name: matrixauth.Name{User: args[0]}, Password: password, Weak: weak})
			if err != nil {
				return err
			}
			return printState(cmd, u)
		})
	weakFlag(cmd, &weak)
	return cmd
}

func weakFlag(cmd *cobra.Command, weak *bool) {
	cmd.Flags().BoolVar(weak, "weak", false, "Take a password that is easy to guess, or shorter than configured; 8 characters it needs")
}

func userDisplayNameCommand() *cobra.Command {
	return operatorCommand("set-display-name NAME TEXT", "Sets the name that others see", cobra.ExactArgs(2),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			u, err := matrixauth.SetDisplayName.Do(cmd.Context(), o, matrixauth.NameAndDisplayName{Name: matrixauth.Name{User: args[0]}, DisplayName: args[1]})
			if err != nil {
				return err
			}
			return printState(cmd, u)
		})
}

// userEmailCommand makes a command that changes the addresses of an account.
func userEmailCommand(verb, short string, action matrixauth.Operation[matrixauth.NameAndEmail, matrixauth.User]) *cobra.Command {
	return operatorCommand(verb+" NAME ADDRESS", short, cobra.ExactArgs(2),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			u, err := action.Do(cmd.Context(), o, matrixauth.NameAndEmail{Name: matrixauth.Name{User: args[0]}, Email: args[1]})
			if err != nil {
				return err
			}
			return printState(cmd, u)
		})
}

// userChangeCommand makes a command that changes an account's state.
func userChangeCommand(verb, short string, action matrixauth.Operation[matrixauth.Name, matrixauth.User]) *cobra.Command {
	return operatorCommand(verb+" NAME", short, cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			u, err := action.Do(cmd.Context(), o, matrixauth.Name{User: args[0]})
			if err != nil {
				return err
			}
			return printState(cmd, u)
		})
}

func userDeactivateCommand() *cobra.Command {
	var erase, dryRun bool
	cmd := operatorCommand("deactivate NAME", "Ends all sessions of a user and deactivates the account at the homeserver", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			deactivation := matrixauth.Deactivation{Name: matrixauth.Name{User: args[0]}, Erase: erase}
			if dryRun {
				u, err := matrixauth.TryDeactivateUser.Do(cmd.Context(), o, deactivation)
				if err != nil {
					return err
				}
				return say(cmd.OutOrStdout(), "%s would be deactivated: %d sessions would end, %d mail addresses would go; nothing is changed", u.MatrixID, u.Sessions, len(u.Emails))
			}
			u, err := matrixauth.ShowUser.Do(cmd.Context(), o, matrixauth.Name{User: args[0]})
			if err != nil {
				return err
			}
			if err := confirm(cmd, "Deactivate "+u.MatrixID+"? All its devices, and the keys on them, are lost."); err != nil {
				return err
			}
			u, err = matrixauth.DeactivateUser.Do(cmd.Context(), o, deactivation)
			if err != nil {
				return err
			}
			return printState(cmd, u)
		})
	cmd.Flags().BoolVar(&erase, "erase", false, "Hide the user's messages from newcomers too")
	dryRunFlag(cmd, &dryRun)
	yesFlag(cmd)
	return cmd
}

func userAdminCommand(verb, short string, admin bool) *cobra.Command {
	return operatorCommand(verb+" NAME", short, cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			u, err := matrixauth.SetAdmin.Do(cmd.Context(), o, matrixauth.AdminRight{Name: matrixauth.Name{User: args[0]}, Admin: admin})
			if err != nil {
				return err
			}
			return printState(cmd, u)
		})
}

func userResetCommand() *cobra.Command {
	return operatorCommand("allow-reset NAME", "Lets a user's apps replace the cross-signing keys in the next ten minutes", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			allowed, err := matrixauth.AllowReset.Do(cmd.Context(), o, matrixauth.Name{User: args[0]})
			if err != nil {
				return err
			}
			return say(cmd.OutOrStdout(), "%s: may reset the cross-signing keys until %s", allowed.MatrixID, formatTime(allowed.Until))
		})
}

func printState(cmd *cobra.Command, u matrixauth.User) error {
	state := u.State
	if u.Admin {
		state += ", may administer Synapse"
	}
	return say(cmd.OutOrStdout(), "%s: %s", u.MatrixID, state)
}

func printUser(cmd *cobra.Command, u matrixauth.User) error {
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), u)
	}
	var rows [][]string
	row := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	row("Matrix id", u.MatrixID)
	row("Id", u.ID)
	row("State", u.State)
	row("Admin", yesNo(u.Admin))
	row("Emails", strings.Join(u.Emails, " "))
	row("Sessions", fmt.Sprint(u.Sessions))
	row("Created", formatTime(u.CreatedAt))
	for _, accepted := range u.Terms {
		row("Terms", accepted.Version+", accepted "+formatTime(accepted.At))
	}
	row("Locked", formatTime(u.LockedAt))
	row("Deactivated", formatTime(u.DeactivatedAt))
	return printTable(cmd.OutOrStdout(), rows)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// formatTime returns a time in the reader's zone; nothing for no time.
// shownTime is the form of a time in lists, which is local.
const shownTime = "2006-01-02 15:04:05"

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(shownTime)
}
