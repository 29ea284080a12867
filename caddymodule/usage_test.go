package caddymodule

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestUsageIsExplained: the help of every command says what to write where its usage has a word in capitals.
func TestUsageIsExplained(t *testing.T) {
	root := &cobra.Command{Use: "matrix-auth"}
	command.CobraFunc(root)
	explained := 0
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, child := range cmd.Commands() {
			walk(child)
		}
		for _, word := range strings.Fields(cmd.Use)[1:] {
			word = strings.Trim(word, "[]")
			if word != strings.ToUpper(word) {
				continue
			}
			explained++
			if !strings.Contains(cmd.Long, word+" is ") {
				t.Errorf("the help of %q does not say what %s is", cmd.CommandPath(), word)
			}
		}
	}
	walk(root)
	if explained < 10 {
		t.Errorf("only %d words were found", explained)
	}
}
