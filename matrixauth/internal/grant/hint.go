package grant

import (
	"regexp"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Hint is a login_hint, read (MSC4198). It helps the user along and proves nothing (AUTHZ-25).
type Hint struct{ text string }

// ReadHint reads a login_hint: "mxid:@alice:example.com", "email:…", or plain text.
func ReadHint(hint string) Hint {
	if kind, value, ok := strings.Cut(hint, ":"); ok && (kind == "mxid" || kind == "email") {
		hint = value
	}
	return Hint{model.PlainText(hint)}
}

// account is how an account is named here: a localpart, or a Matrix id.
var account = regexp.MustCompile(`^(@[a-zA-Z0-9._=/+-]+:[a-zA-Z0-9.:\[\]-]+|[a-zA-Z0-9._=/+-]+)$`)

// Text returns what a sign-in page may fill in.
func (h Hint) Text() string { return h.text }

// IsName reports whether the hint has the form of a localpart or a Matrix id.
func (h Hint) IsName() bool { return account.MatchString(h.text) }

// Names reports whether the hint may mean an account. An empty hint means any; so does a mail address,
// whose owner nobody is told (ENUM-3), and so does what is no name at all: whoever makes a link could
// have a page of ours say anything, as it shows the names of other accounts (HTTP-9).
func (h Hint) Names(localpart, serverName string) bool {
	if !h.IsName() {
		return true
	}
	if name, server, ok := model.ParseMatrixID(h.text); ok {
		return server == serverName && strings.EqualFold(name, localpart)
	}
	return strings.EqualFold(h.text, localpart)
}
