package model

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// TestEmailKey: addresses are compared by the folded local part and the A-labels of the host; dots and plus signs stay
// (MAIL-9, LEG-18).
func TestEmailKey(t *testing.T) {
	for address, want := range map[string]string{
		"Alice@Example.TEST":           "alice@example.test",
		"a.l+i@example.test":           "a.l+i@example.test",
		"Strauß@example.test":          "strauss@example.test",
		"STRAUSS@example.test":         "strauss@example.test",
		"a@MÜNCHEN.test":               "a@xn--mnchen-3ya.test",
		"a@xn--mnchen-3ya.test":        "a@xn--mnchen-3ya.test",
		"a@XN--MNCHEN-3YA.test":        "a@xn--mnchen-3ya.test",
		"a@mu\u0308nchen.test":         "a@xn--mnchen-3ya.test", // the umlaut in two characters
		"a@straße.test":                "a@xn--strae-oqa.test",  // another host than strasse.test
		"a@例え。テスト":                     "a@xn--r8jz45g.xn--zckzah",
		"a@under_score.test":           "a@under_score.test",
		"a@[192.0.2.1]":                "a@[192.0.2.1]",
		"\"a@b\"@Example.test":         "\"a@b\"@example.test",
		"a@xn--99999999999999999.Test": "a@xn--99999999999999999.test",
		"No Address":                   "no address",
		"":                             "",
	} {
		if got := EmailKey(address); got != want {
			t.Errorf("the key of %q is %q, want %q", address, got, want)
		}
		if key := EmailKey(address); EmailKey(key) != key {
			t.Errorf("the key of the key %q is %q", key, EmailKey(key))
		}
	}
}

// TestParseEmail: an address for an account is an address and nothing else, so that nothing can be written into a mail's
// head.
func TestParseEmail(t *testing.T) {
	for _, address := range []string{"alice@example.test", "Alice.B+c@Example.test", "a@münchen.test", "a@xn--mnchen-3ya.test"} {
		e, err := ParseEmail(address)
		if err != nil || e.Address != address || e.Key != EmailKey(address) {
			t.Errorf("%q: %+v, %v", address, e, err)
		}
	}
	for _, address := range []string{
		"", "a", "@", "a@", "@b", "a b@example.test", "Alice <a@example.test>", "<a@example.test>", "a@example.test\r\nBcc: b@example.test", "a@example.test\n", "a@b@c",
		"a@example.test, b@example.test", "a@xn--99999999999999999.test", "a@exa\u200bmple\u0000.test", strings.Repeat("a", bound.Email) + "@example.test",
	} {
		if _, err := ParseEmail(address); !errors.Is(err, InvalidEmail) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// FuzzEmailKey: a key is the key of itself, whatever was typed, so that a row's key is found by its address and by itself.
func FuzzEmailKey(f *testing.F) {
	for _, seed := range []string{"alice@example.test", "Strauß@MÜNCHEN.de", "a@xn--mnchen-3ya.de", "a@xn--", "@", "a@b@c", "a@.", "ı@İ.test", "a@\u00ad.test"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key := EmailKey(text)
		if again := EmailKey(key); again != key {
			t.Errorf("%q has the key %q, and that %q", text, key, again)
		}
		if e, err := ParseEmail(text); err == nil && (e.Address != text || e.Key != key || strings.ContainsAny(e.Key, "\r\n")) {
			t.Errorf("%q was read as %+v", text, e)
		}
	})
}

// TestRecoveryEmail: the address that was chosen last counts, and the oldest as long as none was.
func TestRecoveryEmail(t *testing.T) {
	first, second := Email{ID: "1"}, Email{ID: "2"}
	if _, ok := RecoveryEmail(nil); ok {
		t.Error("an account without an address has one")
	}
	if e, ok := RecoveryEmail([]Email{first, second}); !ok || e.ID != "1" {
		t.Errorf("got %+v", e)
	}
	second.RecoverySince = time.Unix(1, 0)
	if e, _ := RecoveryEmail([]Email{first, second}); e.ID != "2" {
		t.Errorf("got %+v", e)
	}
}
