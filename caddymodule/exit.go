package caddymodule

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// interrupted is the exit code of what an interrupt ended, as shells have it.
const interrupted = 130

// exitWith ends a command with an exit code above 1. Why stands on the terminal by then, so nothing more is printed.
// Caddy's type of errors that carry a code is its own; what makes a run of a function is the way to one.
func exitWith(cmd *cobra.Command, code int) error {
	err := caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return code, nil })(cmd, nil)
	cmd.SilenceErrors = true
	return err
}
