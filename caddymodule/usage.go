package caddymodule

import (
	"strings"

	"github.com/spf13/cobra"
)

// placeholders are what stands in a command's usage for what the operator writes.
var placeholders = []struct{ word, meaning string }{
	{"NAME", "a user name or a full Matrix id, such as alice or @alice:example.com"},
	{"ADDRESS", "a mail address"},
	{"ID", `the id of a session, which "session list" shows`},
	{"CLIENT", `the id of an app, which "client list" shows`},
	{"TEXT", "a text, in quotes if it has blanks"},
	{"JOB", `the number of a job, which "outbox list" shows`},
	{"INVITATION", `the id of an invitation, which "registration-token list" shows, or its token`},
	{"FILE", "a file that is not there yet"},
}

// explainUsage has the help of every command below root say what the words in capitals of its usage mean.
func explainUsage(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		explainUsage(cmd)
		if cmd.Long != "" {
			continue
		}
		var lines []string
		for _, p := range placeholders {
			if takes(cmd, p.word) {
				lines = append(lines, p.word+" is "+p.meaning+".")
			}
		}
		if len(lines) > 0 {
			cmd.Long = cmd.Short + ".\n\n" + strings.Join(lines, "\n")
		}
	}
}

// takes reports whether a command's usage has a word.
func takes(cmd *cobra.Command, word string) bool {
	for used := range strings.FieldsSeq(cmd.Use) {
		if strings.Trim(used, "[]") == word {
			return true
		}
	}
	return false
}
