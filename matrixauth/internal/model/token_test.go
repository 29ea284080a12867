package model

import (
	"slices"
	"strings"
	"testing"
)

func TestNewToken(t *testing.T) { // TOK-21, TOK-22
	seen := map[string]bool{}
	for _, row := range tokenKinds {
		kind := row.kind
		if !row.minted {
			continue
		}
		for range 100 {
			token := NewToken(kind)
			if got, ok := ParseToken(token); !ok || got != kind {
				t.Fatalf("%s is parsed as %q %v", token, got, ok)
			}
			if seen[token] {
				t.Fatalf("%s came twice", token)
			}
			seen[token] = true
			for i := range token {
				for _, other := range []byte{'a', '0', '_', 0, 0xff} {
					if token[i] == other {
						continue
					}
					if _, ok := ParseToken(token[:i] + string([]byte{other}) + token[i+1:]); ok {
						t.Fatalf("%s passes with byte %d changed", token, i)
					}
				}
			}
		}
	}
}

// TestChecksum holds the suffix against values that were computed by another program: CRC-32 in base
// 62, least significant digit first, padded on the left.
func TestChecksum(t *testing.T) {
	for body, want := range map[string]string{
		"":                                   "000000",
		"mct_000000000000000000000000000000": "yh9234",
		"mcr_abcdefghijklmnopqrstuvwxyz0123": "rthOp1",
		"mct_ocSOI7gXuOWjT1WNMgvhG2TcNLkFUM": "0DnrC4",
	} {
		if got := checksum(body); got != want {
			t.Errorf("%q has the checksum %s, want %s", body, got, want)
		}
	}
}

func TestParseToken(t *testing.T) {
	good := NewToken(CompatAccess)
	for name, token := range map[string]string{
		"nothing":             "",
		"a_prefix":            "mct_",
		"too_short":           good[:len(good)-1],
		"too_long":            good + "0",
		"another_prefix":      "mxt" + good[3:],
		"another_server's":    "syt_YWxpY2U_abcdefghij_123456",
		"a_space_around":      " " + good,
		"upper_case":          strings.ToUpper(good),
		"a_refresh's_prefix":  "mcr" + good[3:],
		"the_doctor's_tokens": "matrix-auth-doctor_ABCDEFGHIJKLMNOPQRSTUVW",
	} {
		t.Run(name, func(t *testing.T) {
			if kind, ok := ParseToken(token); ok {
				t.Errorf("%q passes as %s", token, kind)
			}
		})
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(NewToken(CompatAccess))
	f.Add(NewToken(CompatRefresh))
	f.Add("")
	f.Add("mct_" + strings.Repeat("0", 30) + "_000000")
	f.Add(strings.Repeat("_", 41))
	for _, claims := range seedClaims() {
		f.Add(claimedToken(f, OAuthAccess, claims, 0x5a))
	}
	f.Fuzz(func(t *testing.T, token string) {
		kind, ok := ParseToken(token)
		if ok && !strings.HasPrefix(token, kind.row().prefix) {
			t.Errorf("%q passes as %s", token, kind)
		}
	})
}

// TestTokenCatalogue: the form of a token decides in one place what may be said of it.
func TestTokenCatalogue(t *testing.T) {
	for i, row := range tokenKinds {
		for _, other := range tokenKinds[i+1:] {
			if strings.HasPrefix(row.prefix, other.prefix) || strings.HasPrefix(other.prefix, row.prefix) || row.kind == other.kind {
				t.Errorf("%s and %s cannot be told apart", row.kind, other.kind)
			}
		}
		token := row.prefix + "x"
		if row.minted {
			token = NewToken(row.kind)
		}
		if kind, ok := ParseToken(token); !ok || kind != row.kind || kind.Refresh() != row.refresh {
			t.Errorf("%s is taken for %s", token, kind)
		}
		if kind, ok := StoredToken(token); ok != row.stored || kind != row.kind {
			t.Errorf("%s may have a row: %v", token, ok)
		}
		if MintedToken(token) != row.minted {
			t.Errorf("only we make %s: %v", token, !row.minted)
		}
		if row.minted && !row.stored {
			t.Errorf("%s is minted and kept nowhere", row.kind)
		}
	}
	for _, kind := range SessionKinds {
		access, refresh := kind.Tokens()
		if !slices.Contains(AccessKinds(), access) || slices.Contains(AccessKinds(), refresh) || !refresh.Refresh() {
			t.Errorf("sessions of kind %s have the tokens %s and %s", kind, access, refresh)
		}
	}
	for _, foreign := range []string{"", "syt_YWxpY2U_abcdefghij_123456", "as_token_of_a_bridge", "mct_x"} {
		if _, ok := StoredToken(foreign); ok || MintedToken(foreign) {
			t.Errorf("%q is taken for one of ours", foreign)
		}
	}
	if TokenKind("").Refresh() {
		t.Error("what is of no kind refreshes")
	}
}
