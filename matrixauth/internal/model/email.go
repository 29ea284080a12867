package model

import (
	"net/mail"
	"strings"
	"time"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// Email is a mail address of a user, who has proved that they read its mail, or of whom an operator says so.
// Address is the spelling that was given, to which mail is sent. Key is what EmailKey makes of it: addresses are looked
// up by it, and no two accounts have the same one.
type Email struct {
	ID        string
	UserID    string
	Address   string
	Key       string
	CreatedAt time.Time
	// RecoverySince is when the address was chosen for recovery by name; zero if it was not. Without a choice the oldest
	// address serves.
	RecoverySince time.Time
}

// RecoveryEmail returns the address for recovery by name among those of a user, oldest first: the one that was chosen,
// or else the oldest. It reports false if there is none.
func RecoveryEmail(all []Email) (chosen Email, ok bool) {
	for i, e := range all {
		if i == 0 || !e.RecoverySince.IsZero() {
			chosen = e
		}
	}
	return chosen, len(all) > 0
}

// emailHosts maps names of hosts to their A-labels, as a look-up does. Underscores pass: some hosts have them.
var emailHosts = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false))

// EmailKey folds an address for comparison (MAIL-9, LEG-18): full Unicode case folding of the local part, as the Matrix
// appendices ask for 3PIDs, and the A-labels of the host. Dots and plus signs stay. It takes any text, as people type
// anything where an address is asked for.
//
// Two spellings with one key may be two mailboxes, as "ß" and "ss" are to some servers. So mail goes to the address that
// was proven, and never to one that was only typed.
func EmailKey(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return foldEmail(address)
	}
	local, host := address[:at], address[at+1:]
	labels, err := emailHosts.ToASCII(host)
	if err != nil {
		labels = foldEmail(host) // no host has this name
	}
	return foldEmail(local) + "@" + labels
}

func foldEmail(text string) string { return cases.Fold().String(text) }

// ParseEmail checks an address for an account: one plain addr-spec without a display name or a line break. It
// sets Address and Key alone. It returns an Error with code InvalidEmail for any other.
func ParseEmail(address string) (Email, error) {
	invalid := Errorf(InvalidEmail, "this is not a mail address")
	if len(address) > bound.Email || strings.ContainsAny(address, "\r\n\x00 <>") {
		return Email{}, invalid
	}
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address {
		return Email{}, invalid.WithCause(err)
	}
	if _, err := emailHosts.ToASCII(address[strings.LastIndexByte(address, '@')+1:]); err != nil {
		return Email{}, invalid.WithCause(err)
	}
	return Email{Address: address, Key: EmailKey(address)}, nil
}
