package caddymodule

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// groupCommand makes a command that does nothing itself but has others below it.
func groupCommand(use, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short}
	cmd.AddCommand(below...)
	return asGroup(cmd)
}

// asGroup has a group refuse what it does not know. Left to itself, cobra prints the help for a mistyped
// command and reports success, and a script goes on as if it were done.
func asGroup(cmd *cobra.Command) *cobra.Command {
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = caddyRun(func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 || args[0] == "help" {
			return cmd.Help()
		}
		return unknownCommand(cmd, args[0])
	})
	// Flags are looked at before the name of a command that is not there, so a mistyped command with a flag
	// of its own would be told that the flag is wrong.
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if args := cmd.Flags().Args(); cmd.HasSubCommands() && len(args) > 0 {
			return shownError{unknownCommand(cmd, args[0])}
		}
		return err
	})
	return cmd
}

// unknownCommand names the commands that exist.
func unknownCommand(cmd *cobra.Command, name string) error {
	var known []string
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() {
			known = append(known, child.Name())
		}
	}
	text := fmt.Sprintf("%q knows no command %q", cmd.CommandPath(), name)
	if near := cmd.SuggestionsFor(name); name != "" && len(near) > 0 {
		text += fmt.Sprintf(" (did you mean %s?)", strings.Join(near, " or "))
	}
	return fmt.Errorf("%s; it knows %s", text, strings.Join(known, ", "))
}
