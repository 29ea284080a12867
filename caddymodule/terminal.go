package caddymodule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// Everything that a command writes goes through this file. Names of devices and apps, user agents and the
// words of other servers are chosen by strangers, and a terminal obeys what it is sent: it can be told to
// overwrite lines, to change its title, or to show text in another order (HTTP-9).

// concealed reports what a terminal would obey, or would not show: control characters (C0, DEL and C1),
// format characters, those of direction among them, separators of lines, letters that nobody sees, and all blanks but
// the plain one.
func concealed(r rune) bool {
	return !unicode.IsPrint(r) || matrixauth.IsInvisible(r)
}

// visible makes one line of a text that may be a stranger's: what is concealed becomes an escape of Go, such
// as \x1b or \u202e, and so do bytes that are not UTF-8. Other texts come back as they are.
func visible(text string) string {
	if utf8.ValidString(text) && !strings.ContainsFunc(text, concealed) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case !concealed(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		text = text[size:]
	}
	return b.String()
}

// visibleLines is visible for a text that has lines and tabs of its own. All lines but the first come to
// stand behind indent, so that a stranger's line cannot pass for one of ours.
func visibleLines(text, indent string) string {
	var b strings.Builder
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			b.WriteString("\n" + indent)
		}
		line, carriage := strings.CutSuffix(line, "\r")
		for j, part := range strings.Split(line, "\t") {
			if j > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(visible(part))
		}
		if carriage {
			b.WriteByte('\r')
		}
	}
	return b.String()
}

// say writes one line.
func say(w io.Writer, format string, args ...any) error {
	_, err := io.WriteString(w, visible(fmt.Sprintf(format, args...))+"\n")
	return err
}

// sayText writes a text of several lines as it is but for what is concealed, such as a file for Synapse.
func sayText(w io.Writer, text string) error {
	_, err := io.WriteString(w, visibleLines(text, ""))
	return err
}

// ask writes a question, behind which the answer is typed.
func ask(w io.Writer, question string) error {
	_, err := io.WriteString(w, visible(question))
	return err
}

// shownError is an error whose text may go to a terminal. Caddy prints it.
type shownError struct{ error }

// Error returns the text with everything visible.
func (e shownError) Error() string { return visibleLines(e.error.Error(), "    ") }

// Unwrap returns the error itself.
func (e shownError) Unwrap() error { return e.error }

// printTable writes rows of which the first are the headings, if there are any.
func printTable(w io.Writer, rows [][]string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, text := range row {
			if i > 0 {
				_, _ = io.WriteString(table, "\t") // Flush gives the error
			}
			_, _ = io.WriteString(table, cell(text))
		}
		_, _ = io.WriteString(table, "\n")
	}
	return table.Flush()
}

// cell returns a text in a column of a table. Columns are two blanks or more apart, so a text with such a gap
// stands in quotes: nobody's name looks like two columns.
func cell(text string) string {
	text = visible(text)
	if strings.Contains(text, "  ") || strings.TrimSpace(text) != text {
		return `"` + text + `"`
	}
	return text
}

// printList writes a list as a table, or as JSON if asked to.
func printList[T any](cmd *cobra.Command, items []T, header []string, row func(T) []string) error {
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), items)
	}
	rows := [][]string{header}
	for _, item := range items {
		rows = append(rows, row(item))
	}
	return printTable(cmd.OutOrStdout(), rows)
}

// printJSON writes a result for programs. It is JSON of the same meaning in which everything concealed is
// escaped: encoding/json escapes C0 alone, and people look at JSON in a terminal too.
func printJSON(w io.Writer, value any) error {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	_, err := w.Write(escapeJSON(out.Bytes()))
	return err
}

// escapeJSON escapes what is concealed in JSON that encoding/json made: beyond ASCII it can stand in strings
// alone.
func escapeJSON(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == '\n' || !concealed(r):
			out = append(out, text[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		text = text[size:]
	}
	return out
}

func jsonFlag(cmd *cobra.Command) { cmd.Flags().Bool("json", false, "Write JSON") }

func wantsJSON(cmd *cobra.Command) bool {
	set, err := cmd.Flags().GetBool("json")
	return err == nil && set
}

// dryRunFlag adds the flag of commands that end many things at once.
func dryRunFlag(cmd *cobra.Command, dryRun *bool) {
	cmd.Flags().BoolVar(dryRun, "dry-run", false, "Say what would be done, and change nothing")
}
