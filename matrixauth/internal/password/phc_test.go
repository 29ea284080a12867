package password

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// TestForeign verifies hashes that other programs made (PW-2, PW-7): the reference implementation of
// Argon2 (its published test vectors, and its Python binding), Synapse's hash_password and Python's
// bcrypt and hashlib.
func TestForeign(t *testing.T) {
	const (
		open   = "open sesame"
		wide   = "\uff50\uff41ssw\u00f6rd \ufb01ne"
		pepper = "salt & pepper"
	)
	for name, c := range map[string]struct {
		phc, password, pepper string
		wrong                 []string
	}{
		"argon2id_reference": {"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password", "", nil},
		"argon2id_small":     {"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password", "", nil},
		"argon2id_two_lanes": {"$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc", "password", "", nil},
		"argon2i_reference":  {"$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA", "password", "", nil},
		"argon2id_short_tag": {"$argon2id$v=19$m=1024,t=3,p=4$c2FsdHNhbHQxMjM0NTY3OA$wEJMLRSA3hrnz3TaOUDwONvk//OcbCLu", open, "", nil},
		"argon2i":            {"$argon2i$v=19$m=1024,t=2,p=2$c2FsdHNhbHQxMjM0NTY3OA$EiP6M5hk7PcNqW/senINN31wVyXI0aXwh7inA6q7APk", open, "", nil},
		"argon2id_not_normalized": {RawPrefix + "$argon2id$v=19$m=1024,t=2,p=1$c2FsdHNhbHQxMjM0NTY3OA$bhUdTxZbglyg4G2g6BTChbj1FqGbpU1wOTEUVk4SE7k", wide, "",
			[]string{"pass\u0077\u00f6rd fine"}},
		"pbkdf2_sha256":      {"$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHQxMjM0NTY3OA$vRYOeauGQAEZd3KnByvjGZFJHF8zKxOk7xXZSmznOdw", open, "", nil},
		"pbkdf2_no_length":   {"$pbkdf2-sha256$i=1000$c2FsdHNhbHQxMjM0NTY3OA$vRYOeauGQAEZd3KnByvjGZFJHF8zKxOk7xXZSmznOdw", open, "", nil},
		"pbkdf2_sha512":      {"$pbkdf2-sha512$i=1000,l=64$c2FsdHNhbHQxMjM0NTY3OA$tYdkW2HkvX0alMTesKt4vpRAbE/ZIu7Ca+WTHW7MGkcnXz0WK8n8TD3PmabpLjpQyLXPCsRk8EOnTuyhLE9sfA", open, "", nil},
		"pbkdf2_sha1":        {"$pbkdf2-sha1$i=1000,l=20$c2FsdHNhbHQxMjM0NTY3OA$IuVzRp4mQZI9uU/R6+mwtAzG/rs", open, "", nil},
		"pbkdf2":             {"$pbkdf2$i=1000,l=20$c2FsdHNhbHQxMjM0NTY3OA$IuVzRp4mQZI9uU/R6+mwtAzG/rs", open, "", nil},
		"synapse":            {"$2b$04$o7MIRtgjGTSzLXjM9r4rHOrwS/P14M/O0bMOCgNVR319N/Ia5FCXu", "correct horse", "", nil},
		"synapse_2a":         {"$2a$04$o7MIRtgjGTSzLXjM9r4rHOrwS/P14M/O0bMOCgNVR319N/Ia5FCXu", "correct horse", "", nil},
		"synapse_pepper":     {"$2b$04$tBqwRDwNSQUmFRxEMeV.fOUQbcLdFlHQsCJXO3qXizMlLwDENOq7.", open, pepper, nil},
		"synapse_normalized": {"$2b$04$DzN8Zmv5dIXiH4uT6aWdFea.l1J/bu1b47CYTn1JUAnpPKMfCnq/i", wide, pepper, nil},
		"synapse_other_form": {"$2b$04$DzN8Zmv5dIXiH4uT6aWdFea.l1J/bu1b47CYTn1JUAnpPKMfCnq/i", "passwo\u0308rd fine", pepper, nil},
		"bcrypt_nul":         {"$2b$04$XhQkIGpdBNpqtPNx51p58u9ghN0MPB2EC8vvx8WZdp3I1XN/bms6i", "a\x00b", "", []string{"a", "a\x00c"}},
		"bcrypt_72":          {"$2b$04$RlDjiTmhsOIiDp7lKeVMAee83lHy1a.A.oZ24p15vRJmw9GjGhynG", strings.Repeat("x", 71) + "y", "", []string{strings.Repeat("x", 72)}},
		"bcrypt_80":          {"$2b$04$hZxKRDnK5gJv1UI30QbRf.Y4LTmY0KekTe5U/P9hceQvwXv74Kl/i", strings.Repeat("x", 80), "", []string{strings.Repeat("x", 71)}},
		"bcrypt_72_of_80":    {"$2b$04$hZxKRDnK5gJv1UI30QbRf.Y4LTmY0KekTe5U/P9hceQvwXv74Kl/i", strings.Repeat("x", 72) + "other", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := quick(Config{})
			pepper := Pepper{Text: c.pepper}
			if c.pepper != "" {
				pepper.ID, c.phc = "p", WithPepper("p", c.phc)
			}
			if got, err := h.VerifyPeppered(t.Context(), c.phc, c.password, pepper); err != nil || got != (Result{OK: true, Upgrade: true}) {
				t.Errorf("Verify = %+v, %v; want OK and Upgrade", got, err)
			}
			for _, wrong := range append(c.wrong, "", "wrong", c.password[:len(c.password)/2]) {
				if got, err := h.VerifyPeppered(t.Context(), c.phc, wrong, pepper); err != nil || got != (Result{}) {
					t.Errorf("Verify(%q) = %+v, %v; want not OK", wrong, got, err)
				}
			}
			if got, want := h.Stats().Hashes, uint64(len(c.wrong)+4); got != want {
				t.Errorf("%d hashes for %d passwords", got, want)
			}
		})
	}
}

// TestPepper: the pepper is bcrypt's alone, and a wrong one is a wrong password.
func TestPepper(t *testing.T) {
	const phc = "$2b$04$tBqwRDwNSQUmFRxEMeV.fOUQbcLdFlHQsCJXO3qXizMlLwDENOq7."
	for _, pepper := range []string{"", "salt", "salt & pepper "} {
		if got, err := quick(Config{}).VerifyPeppered(t.Context(), WithPepper("p", phc), "open sesame", Pepper{"p", pepper}); err != nil || got.OK {
			t.Errorf("with pepper %q: %+v, %v", pepper, got, err)
		}
	}
	for _, given := range []Pepper{{}, {"q", "salt"}} {
		if got, err := quick(Config{}).VerifyPeppered(t.Context(), WithPepper("p", phc), "open sesame", given); !errors.Is(err, ErrHash) || got.OK {
			t.Errorf("with %v: %+v, %v", given, got, err)
		}
	}
}

// TestHashBcrypt: a new hash of bcrypt is one that Synapse verifies with its pepper, which it names; the first 72 bytes
// of both count (PW-2).
func TestHashBcrypt(t *testing.T) {
	h := quick(Config{})
	salty := Pepper{"p", " & pepper"}
	for _, pepper := range []Pepper{{}, salty} {
		stored, err := h.HashBcrypt(t.Context(), "correct horse", bcrypt.MinCost, pepper)
		if err != nil {
			t.Fatal(err)
		}
		id, hash := PepperOf(stored)
		if id != pepper.ID || !IsBcrypt(hash) || IsBcrypt(stored) != (id == "") || bcrypt.CompareHashAndPassword([]byte(hash), []byte("correct horse"+pepper.Text)) != nil {
			t.Errorf("%s", stored)
		}
		if got, err := h.VerifyPeppered(t.Context(), stored, "correct horse", pepper); err != nil || !got.OK {
			t.Errorf("%+v, %v", got, err)
		}
	}
	long := strings.Repeat("x", 72)
	stored, err := h.HashBcrypt(t.Context(), long+"other", bcrypt.MinCost, salty)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := h.VerifyPeppered(t.Context(), stored, long, salty); err != nil || !got.OK {
		t.Errorf("%+v, %v", got, err)
	}
	before := h.Stats().Hashes
	if err := h.VerifyDummyBcrypt(t.Context(), "wrong", bcrypt.MinCost); err != nil || h.Stats().Hashes != before+1 {
		t.Errorf("a dummy: %v", err)
	}
	if _, err := h.HashBcrypt(t.Context(), strings.Repeat("x", 4097), bcrypt.MinCost, salty); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	if printed := fmt.Sprintf("%v %+v %#v %s", salty, salty, []Pepper{salty}, &salty); strings.Contains(printed, "&") {
		t.Error(printed)
	}
}

const (
	salt = "c2FsdHNhbHQxMjM0NTY3OA"
	tag  = "vRYOeauGQAEZd3KnByvjGZFJHF8zKxOk7xXZSmznOdw"
)

// refused are hashes that must not be verified, and not cost a hash either.
var refused = map[string]string{
	"pepper_of_argon2":      WithPepper("p", "$argon2id$v=19$m=8,t=1,p=1$"+salt+"$"+tag),
	"pepper_without_end":    "{pepper:p$2b$04$tBqwRDwNSQUmFRxEMeV.fOUQbcLdFlHQsCJXO3qXizMlLwDENOq7.",
	"empty":                 "",
	"no_scheme":             "password",
	"not_first":             "x$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + tag,
	"unknown_scheme":        "$scrypt$ln=16,r=8,p=1$" + salt + "$" + tag,
	"argon2d":               "$argon2d$v=19$m=8,t=1,p=1$" + salt + "$" + tag,
	"scheme_in_upper_case":  "$Argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + tag,
	"version_1.0":           "$argon2id$v=16$m=8,t=1,p=1$" + salt + "$" + tag,
	"no_version":            "$argon2id$m=8,t=1,p=1$" + salt + "$" + tag,
	"a_gibibyte_and_one":    "$argon2id$v=19$m=1048577,t=1,p=1$" + salt + "$" + tag,
	"4_gibibytes":           "$argon2id$v=19$m=4294967295,t=1,p=1$" + salt + "$" + tag,
	"memory_beyond_32_bits": "$argon2id$v=19$m=4294967304,t=1,p=1$" + salt + "$" + tag,
	"no_memory":             "$argon2id$v=19$m=0,t=1,p=1$" + salt + "$" + tag,
	"memory_for_one_lane":   "$argon2id$v=19$m=8,t=1,p=2$" + salt + "$" + tag,
	"65_passes":             "$argon2id$v=19$m=8,t=65,p=1$" + salt + "$" + tag,
	"no_pass":               "$argon2id$v=19$m=8,t=0,p=1$" + salt + "$" + tag,
	"much_of_both":          "$argon2id$v=19$m=1048576,t=5,p=1$" + salt + "$" + tag,
	"no_lane":               "$argon2id$v=19$m=8,t=1,p=0$" + salt + "$" + tag,
	"65_lanes":              "$argon2id$v=19$m=1024,t=1,p=65$" + salt + "$" + tag,
	"257_lanes":             "$argon2id$v=19$m=4096,t=1,p=257$" + salt + "$" + tag,
	"other_order":           "$argon2id$v=19$t=1,m=8,p=1$" + salt + "$" + tag,
	"a_key_id":              "$argon2id$v=19$m=8,t=1,p=1,keyid=a$" + salt + "$" + tag,
	"a_parameter_twice":     "$argon2id$v=19$m=8,m=8,p=1$" + salt + "$" + tag,
	"leading_zero":          "$argon2id$v=19$m=08,t=1,p=1$" + salt + "$" + tag,
	"plus":                  "$argon2id$v=19$m=+8,t=1,p=1$" + salt + "$" + tag,
	"minus":                 "$argon2id$v=19$m=8,t=-1,p=1$" + salt + "$" + tag,
	"no_number":             "$argon2id$v=19$m=8,t=,p=1$" + salt + "$" + tag,
	"no_hash":               "$argon2id$v=19$m=8,t=1,p=1$" + salt,
	"empty_hash":            "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$",
	"short_hash":            "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$AAAA",
	"short_salt":            "$argon2id$v=19$m=8,t=1,p=1$AAAA$" + tag,
	"long_hash":             "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + strings.Repeat("AAAA", 22),
	"something_behind":      "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + tag + "$",
	"padded":                "$argon2id$v=19$m=8,t=1,p=1$" + salt + "==$" + tag,
	"url_alphabet":          "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + strings.Repeat("_", 43),
	"loose_bits":            "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + strings.Repeat("A", 42) + "B",
	"line_break":            "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + tag[:20] + "\n" + tag[20:],
	"too_long":              "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + strings.Repeat("A", 600),
	"raw_twice":             RawPrefix + RawPrefix + "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + tag,
	"bcrypt_cost_17":        "$2b$17$o7MIRtgjGTSzLXjM9r4rHOrwS/P14M/O0bMOCgNVR319N/Ia5FCXu",
	"bcrypt_cost_31":        "$2b$31$o7MIRtgjGTSzLXjM9r4rHOrwS/P14M/O0bMOCgNVR319N/Ia5FCXu",
	"bcrypt_cost_3":         "$2b$03$o7MIRtgjGTSzLXjM9r4rHOrwS/P14M/O0bMOCgNVR319N/Ia5FCXu",
	"bcrypt_no_cost":        "$2b$xx$o7MIRtgjGTSzLXjM9r4rHOrwS/P14M/O0bMOCgNVR319N/Ia5FCXu",
	"bcrypt_2x":             "$2x$04$o7MIRtgjGTSzLXjM9r4rHOrwS/P14M/O0bMOCgNVR319N/Ia5FCXu",
	"bcrypt_2":              "$2$04$o7MIRtgjGTSzLXjM9r4rHOrwS/P14M/O0bMOCgNVR319N/Ia5FCXuu",
	"bcrypt_short":          "$2b$04$o7MIRtgjGTSzLXjM9r4rHOrwS/P14M/O0bMOCgNVR319N/Ia5FCX",
	"bcrypt_long":           "$2b$04$o7MIRtgjGTSzLXjM9r4rHOrwS/P14M/O0bMOCgNVR319N/Ia5FCXuu",
	"bcrypt_bad_character":  "$2b$04$o7MIRtgjGTSzLXjM9r4rHO!wS/P14M/O0bMOCgNVR319N/Ia5FCXu",
	"pbkdf2_iterations":     "$pbkdf2-sha256$i=10000001$" + salt + "$" + tag,
	"pbkdf2_no_iteration":   "$pbkdf2-sha256$i=0$" + salt + "$" + tag,
	"pbkdf2_other_length":   "$pbkdf2-sha256$i=1,l=31$" + salt + "$" + tag,
	"pbkdf2_no_parameter":   "$pbkdf2-sha256$$" + salt + "$" + tag,
	"pbkdf2_md5":            "$pbkdf2-md5$i=1$" + salt + "$" + tag,
}

func TestRefused(t *testing.T) {
	for name, phc := range refused {
		t.Run(name, func(t *testing.T) {
			h := quick(Config{})
			got, err := h.Verify(t.Context(), phc, "password")
			if !errors.Is(err, ErrHash) || got != (Result{}) {
				t.Fatalf("Verify = %+v, %v; want ErrHash", got, err)
			}
			if strings.Contains(err.Error(), tag[:8]) || strings.Contains(err.Error(), salt[:8]) {
				t.Errorf("the error quotes the hash: %v", err)
			}
			if h.Stats().Hashes != 0 {
				t.Error("a hash was made")
			}
		})
	}
}

// FuzzParse: whatever is stored, what parse lets through is within the bounds, and what it writes is
// what it read. It never hashes.
func FuzzParse(f *testing.F) {
	for _, phc := range refused {
		f.Add(phc)
	}
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + tag)
	f.Add(RawPrefix + "$argon2i$v=19$m=1048576,t=4,p=64$" + salt + "$" + tag)
	f.Add("$2y$16$o7MIRtgjGTSzLXjM9r4rHOrwS/P14M/O0bMOCgNVR319N/Ia5FCXu")
	f.Add("$pbkdf2-sha512$i=10000000,l=32$" + salt + "$" + tag)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parse(text)
		if err != nil {
			if !errors.Is(err, ErrHash) || got != (stored{}) {
				t.Fatalf("parse = %+v, %v; want ErrHash alone", got, err)
			}
			return
		}
		prefix := ""
		if got.raw {
			prefix = RawPrefix
		}
		switch s := got.scheme.(type) {
		case argon2Hash:
			if s.memory > 1<<20 || s.time > 64 || uint64(s.memory)*uint64(s.time) > 4<<20 || s.time < 1 || s.parallelism < 1 || s.memory < 8*uint32(s.parallelism) {
				t.Errorf("beyond the bounds: %q", text)
			}
			if written := prefix + s.String(); written != text {
				t.Errorf("read %q, wrote %q", text, written)
			}
		case bcryptHash:
			if prefix+string(s) != text || len(s) != 60 || s[4:6] > "16" {
				t.Errorf("beyond the bounds: %q", text)
			}
		case pbkdf2Hash:
			if s.iterations < 1 || s.iterations > 10_000_000 || len(s.tag) > 64 || len(s.salt) > 64 || s.iterations > math.MaxInt32 {
				t.Errorf("beyond the bounds: %q", text)
			}
		default:
			t.Errorf("scheme %T", s)
		}
	})
}
