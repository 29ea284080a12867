package caddymodule

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// runCommand runs "caddy matrix-auth" in this process.
func runCommand(t *testing.T, args ...string) (out, problems string, err error) {
	t.Helper()
	caddy, root := &cobra.Command{Use: "caddy", SilenceUsage: true}, &cobra.Command{Use: "matrix-auth"}
	command.CobraFunc(root)
	caddy.AddCommand(root)
	var stdout, stderr bytes.Buffer
	caddy.SetOut(&stdout)
	caddy.SetErr(&stderr)
	caddy.SetArgs(append([]string{"matrix-auth"}, args...))
	err = caddy.ExecuteContext(t.Context())
	return stdout.String(), stderr.String(), err
}

// TestMistypedCommands holds that no command takes a word that it does not know: a script that has a
// mistake in it must see that.
func TestMistypedCommands(t *testing.T) {
	root := &cobra.Command{Use: "matrix-auth"}
	command.CobraFunc(root)
	var walk func(cmd *cobra.Command, path []string)
	walk = func(cmd *cobra.Command, path []string) {
		t.Run(strings.Join(append([]string{"matrix-auth"}, path...), "_"), func(t *testing.T) {
			if !cmd.HasSubCommands() {
				out, _, err := runCommand(t, append(path, "one", "two", "three", "four")...)
				if err == nil || out != "" || strings.Contains(err.Error(), "Caddyfile") {
					t.Errorf("arguments that it does not take gave %v and %q", err, out)
				}
				return
			}
			for _, wrong := range [][]string{{"nonsense"}, {""}, {"nonsense", "--no-such-flag"}, {"nonsense", "--json", "x"}} {
				out, _, err := runCommand(t, append(path, wrong...)...)
				if err == nil || out != "" || !strings.Contains(err.Error(), `knows no command "`+wrong[0]+`"`) {
					t.Fatalf("%q gave %v and %q", wrong, err, out)
				}
				for _, child := range cmd.Commands() {
					if !strings.Contains(err.Error(), child.Name()) {
						t.Errorf("%v does not name %s", err, child.Name())
					}
				}
			}
		})
		for _, child := range cmd.Commands() {
			walk(child, append(path[:len(path):len(path)], child.Name()))
		}
	}
	walk(root, nil)
}
