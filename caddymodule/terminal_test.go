package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	goparser "go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/quick"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// hostile are texts that a terminal would obey, with what it is to be shown (HTTP-9).
var hostile = map[string]string{
	"a\x1b]0;title\x07b":  `a\x1b]0;title\x07b`,
	"\x1b[2J\x1b[H":       `\x1b[2J\x1b[H`,
	"phone\rlaptop":       `phone\rlaptop`,
	"one\ntwo\tthree":     `one\ntwo\tthree`,
	"del\x7f":             `del\x7f`,
	"c1 \u009b31m":        `c1 \u009b31m`,
	"raw c1 \x9b31m":      `raw c1 \x9b31m`,
	"txt\u202egpj.exe":    `txt\u202egpj.exe`,
	"iso\u2066late\u2069": `iso\u2066late\u2069`,
	"soft\u00adhyphen":    `soft\u00adhyphen`,
	"line\u2028paragraph": `line\u2028paragraph`,
	"zero\u200bwidth":     `zero\u200bwidth`,
	"tag\U000e0041":       `tag\U000e0041`,
	"blank\u00a0blank":    `blank\u00a0blank`,
	"filler\u3164":        `filler\u3164`,
	"half \xc3":           `half \xc3`,
}

// TestVisible shows strangers' words so that a terminal obeys none of them (HTTP-9).
func TestVisible(t *testing.T) {
	for text, want := range hostile {
		if got := visible(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"", "Pixel 9", "Zoë’s 手机 📱", `C:\x1b`, "état"} {
		if got := visible(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// TestWhateverIsShown holds for any text that what is shown is printable, and that JSON keeps its meaning.
func TestWhateverIsShown(t *testing.T) {
	shows := func(runes []rune, raw []byte) bool {
		text := string(runes) + string(raw)
		for _, got := range []string{visible(text), cell(text)} {
			if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
				return false
			}
		}
		encoded, err := json.Marshal(text)
		must(t, err)
		var back, want string
		must(t, errors.Join(json.Unmarshal(escapeJSON(encoded), &back), json.Unmarshal(encoded, &want)))
		return visible(visible(text)) == visible(text) && back == want
	}
	must(t, quick.Check(shows, &quick.Config{MaxCount: 2000}))
}

func hostileSessions() []matrixauth.Session {
	var all []matrixauth.Session
	for _, text := range slices.Sorted(maps.Keys(hostile)) {
		all = append(all, matrixauth.Session{
			ID: "01SESSION", Kind: "compat", ClientName: text, DeviceID: text, DeviceName: text, LastIP: text, UserAgent: text,
		})
	}
	return all
}

func listCommand(asJSON bool) (*cobra.Command, *bytes.Buffer) {
	var out bytes.Buffer
	cmd := &cobra.Command{}
	jsonFlag(cmd)
	if asJSON {
		_ = cmd.Flags().Set("json", "true") // a flag that was just declared
	}
	cmd.SetOut(&out)
	return cmd, &out
}

func wantPrintable(t *testing.T, text string) {
	t.Helper()
	if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && (r == utf8.RuneError || concealed(r)) }); i >= 0 {
		t.Errorf("a terminal is sent %q", text[i:min(i+12, len(text))])
	}
}

// TestTablesOfStrangersWords prints hostile names of devices, apps and addresses (HTTP-9).
func TestTablesOfStrangersWords(t *testing.T) {
	sessions := hostileSessions()
	t.Run("as_a_table", func(t *testing.T) {
		cmd, out := listCommand(false)
		must(t, printList(cmd, sessions, []string{"ID", "DEVICE"}, func(s matrixauth.Session) []string { return []string{s.ID, s.DeviceID, s.DeviceName} }))
		wantPrintable(t, out.String())
		if lines := strings.Count(out.String(), "\n"); lines != len(sessions)+1 {
			t.Errorf("%d sessions take %d lines", len(sessions), lines)
		}
	})
	t.Run("as_JSON_of_the_same_meaning", func(t *testing.T) {
		cmd, out := listCommand(true)
		must(t, printList(cmd, sessions, nil, nil))
		wantPrintable(t, out.String())
		var back []matrixauth.Session
		must(t, json.Unmarshal(out.Bytes(), &back))
		for i, s := range back {
			if want := strings.ToValidUTF8(sessions[i].DeviceID, "\ufffd"); s.DeviceID != want {
				t.Errorf("%q became %q", want, s.DeviceID)
			}
		}
	})
	t.Run("a_name_that_looks_like_two_columns_is_quoted", func(t *testing.T) {
		var out bytes.Buffer
		must(t, printTable(&out, [][]string{{"phone  admin", "B"}, {" left", "right "}}))
		if want := "\"phone  admin\"  B\n\" left\"         \"right \"\n"; out.String() != want {
			t.Errorf("got %q", out.String())
		}
	})
	t.Run("as_a_finding", func(t *testing.T) {
		for text := range hostile {
			var out bytes.Buffer
			must(t, printFinding(&out, matrixauth.Finding{Check: "outbox", What: text, Where: text, Change: "first\n" + strings.ReplaceAll(text, "\t", "")}))
			wantPrintable(t, out.String())
		}
	})
	t.Run("as_an_error", func(t *testing.T) {
		failing := caddyRun(func(*cobra.Command, []string) error {
			return errors.Join(errors.New("refused: \x1b[2J"), errors.New("ok   forged\u202e"))
		})
		err := failing(&cobra.Command{}, nil)
		if want := "refused: \\x1b[2J\n    ok   forged\\u202e"; err.Error() != want {
			t.Errorf("got %q", err)
		}
	})
}

// TestOneWayToTheTerminal keeps commands from writing by any other way than terminal.go.
func TestOneWayToTheTerminal(t *testing.T) {
	files, err := filepath.Glob("*.go")
	must(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || name == "terminal.go" {
			continue
		}
		text, err := os.ReadFile(name)
		must(t, err)
		parsed, err := goparser.ParseFile(token.NewFileSet(), name, text, 0)
		must(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && writesTo(call, f) {
				t.Errorf("%s writes by %s; use say, sayText, ask, printTable or printJSON", name, f.Sel.Name)
			}
			return true
		})
	}
}

// writesTo tells a call that writes to a terminal: Fprint and its like to anything but a builder, and
// cobra's own printers.
func writesTo(call *ast.CallExpr, f *ast.SelectorExpr) bool {
	switch f.Sel.Name {
	case "Print", "Printf", "Println", "PrintErr", "PrintErrf", "PrintErrln":
		return true
	case "Fprint", "Fprintf", "Fprintln":
		_, builder := call.Args[0].(*ast.UnaryExpr) // &out
		return !builder
	case "WriteString", "Write":
		inner, ok := f.X.(*ast.CallExpr)
		if !ok {
			return false
		}
		of, ok := inner.Fun.(*ast.SelectorExpr)
		return ok && (of.Sel.Name == "OutOrStdout" || of.Sel.Name == "ErrOrStderr")
	}
	return false
}
