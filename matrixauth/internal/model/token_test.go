package model

import (
	"strings"
	"testing"
)

func TestNewToken(t *testing.T) { // TOK-21, TOK-22
	seen := map[string]bool{}
	for kind := range prefixes {
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
		"the_doctor's_tokens": "matrix-auth-doctor-ABCDEFGHIJKLMNOPQRSTUVW",
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
	f.Fuzz(func(t *testing.T, token string) {
		kind, ok := ParseToken(token)
		if ok && !strings.HasPrefix(token, prefixes[kind]+"_") {
			t.Errorf("%q passes as %s", token, kind)
		}
	})
}
