package grant

import (
	"strings"
	"testing"
	"unicode"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// FuzzHint: a hint is plain text, the same when it is read again, and only the name of another account
// counts as one (AUTHZ-25, HTTP-9).
func FuzzHint(f *testing.F) {
	for _, hint := range []string{"", "alice", "ALICE", "mxid:@alice:example.test", "@bob:example.test", "@alice:[::1]:8448", "email:a@example.org", "call 0900 now", "mxid:mxid:x", "\u202eecila", "\x00", "@:", "\xff", "@a b:c"} {
		f.Add(hint)
	}
	f.Fuzz(func(t *testing.T, given string) {
		hint := ReadHint(given)
		if model.PlainText(hint.Text()) != hint.Text() || strings.ContainsFunc(hint.Text(), unicode.IsControl) {
			t.Errorf("%q is read as %q", given, hint.Text())
		}
		if !hint.Names("alice", "example.test") && !account.MatchString(hint.Text()) {
			t.Errorf("%q is shown as the name of an account", hint.Text())
		}
		if strings.EqualFold(hint.Text(), "alice") && !hint.Names("alice", "example.test") {
			t.Errorf("%q is not alice", hint.Text())
		}
	})
}
