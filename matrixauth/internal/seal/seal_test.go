package seal

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

const seeds, codes Purpose = "authenticator seeds", "codes in mails that wait"

// house is a database with its seal.
type house struct {
	t     *testing.T
	store *store.Store
	*Keeper
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t}
	path := filepath.Join(t.TempDir(), "matrix_auth.db")
	s, err := store.Open(t.Context(), store.Options{Path: path, Create: true})
	h.must(err)
	t.Cleanup(func() { h.must(s.Close()) })
	h.store = s
	h.restart()
	return h
}

// restart forgets what was in memory, as a new process does.
func (h *house) restart() { h.Keeper = New(h.store, Path(h.store.Path())) }

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) seal(p Purpose, row, plain string) (sealed []byte, err error) {
	err = h.store.Update(context.Background(), func(tx *store.Tx) (err error) {
		sealed, err = h.Seal(tx, p, row, []byte(plain))
		return err
	})
	return sealed, err
}

func (h *house) mustSeal(p Purpose, row, plain string) []byte {
	h.t.Helper()
	sealed, err := h.seal(p, row, plain)
	h.must(err)
	return sealed
}

// wantProblem loads, and wants an error that says some words.
func (h *house) wantProblem(held bool, words ...string) {
	h.t.Helper()
	err := h.Load(context.Background(), true)
	var problem *Error
	if !errors.As(err, &problem) || problem.Held != held || h.Problem() != problem {
		h.t.Fatalf("got %v", err)
	}
	for _, word := range append(words, h.Path()) {
		if !strings.Contains(err.Error(), word) {
			h.t.Errorf("%q does not say %q", err, word)
		}
	}
	_, sealErr := h.seal(seeds, "row", "plain")
	if _, openErr := h.Open(seeds, "row", nil); !held && (sealErr == nil || errors.Is(openErr, ErrDamaged)) {
		h.t.Errorf("sealed %v, opened %v", sealErr, openErr)
	}
}

// content is what the file holds.
func (h *house) content() []byte {
	h.t.Helper()
	text, err := os.ReadFile(h.Path())
	h.must(err)
	return text
}

func TestSeal(t *testing.T) {
	h := newHouse(t)
	h.must(h.Load(t.Context(), true))
	sealed := h.mustSeal(seeds, "row 1", "the secret")
	if bytes.Contains(sealed, []byte("secret")) {
		t.Error("it is there to read")
	}
	t.Run("is_opened_after_a_restart", func(t *testing.T) {
		h.restart()
		h.must(h.Load(t.Context(), true))
		plain, err := h.Open(seeds, "row 1", sealed)
		if err != nil || string(plain) != "the secret" {
			t.Errorf("%q %v", plain, err)
		}
	})
	t.Run("is_another_each_time", func(t *testing.T) {
		if again := h.mustSeal(seeds, "row 1", "the secret"); bytes.Equal(again, sealed) {
			t.Error("the same text gave the same value")
		}
	})
	t.Run("holds_an_empty_text", func(t *testing.T) {
		plain, err := h.Open(seeds, "r", h.mustSeal(seeds, "r", ""))
		if err != nil || len(plain) != 0 {
			t.Errorf("%q %v", plain, err)
		}
	})
	t.Run("is_for_its_row_and_purpose_alone", func(t *testing.T) {
		for _, other := range []struct {
			purpose Purpose
			row     string
		}{{seeds, "row 2"}, {seeds, ""}, {codes, "row 1"}, {seeds + "r", "ow 1"}} {
			if _, err := h.Open(other.purpose, other.row, sealed); !errors.Is(err, ErrDamaged) {
				t.Errorf("%+v: %v", other, err)
			}
		}
	})
	t.Run("tells_that_it_was_changed", func(t *testing.T) {
		for i := range sealed {
			changed := slices.Clone(sealed)
			changed[i] ^= 1
			want := ErrDamaged
			if i >= 1 && i < 1+idSize {
				want = ErrOtherKey
			}
			if _, err := h.Open(seeds, "row 1", changed); !errors.Is(err, want) {
				t.Errorf("byte %d: %v", i, err)
			}
		}
		for size := range sealed {
			if _, err := h.Open(seeds, "row 1", sealed[:size]); !errors.Is(err, ErrDamaged) {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
	})
	t.Run("of_another_database_is_told_from_a_changed_one", func(t *testing.T) {
		other := newHouse(t)
		other.must(other.Load(t.Context(), true))
		if _, err := other.Open(seeds, "row 1", sealed); !errors.Is(err, ErrOtherKey) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("shows_its_key_in_no_print", func(t *testing.T) {
		secret := h.key.secret
		for _, text := range []string{fmt.Sprint(h.key), fmt.Sprintf("%#v %+v", h.key, h.key), fmt.Sprint(h.Problem())} {
			if strings.Contains(text, hex.EncodeToString(secret[:4])) || strings.Contains(text, fmt.Sprintf("%d", secret[:4])) {
				t.Errorf("%s", text)
			}
		}
	})
}

// TestForm holds the form of the file and of values, which are stored: this key and this value must open for ever.
func TestForm(t *testing.T) {
	var secret [keySize]byte
	for i := range secret {
		secret[i] = byte(i)
	}
	k, err := keyOf(secret)
	if err != nil {
		t.Fatal(err)
	}
	const file = "matrix-auth-seal 1\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
	if string(k.text()) != file {
		t.Errorf("the file is %q", k.text())
	}
	const id, value = "31bccaba5082f4ab", "0131bccaba5082f4abb35b46bbfe5a463ce36f7e2bbb70e30ca1ffacef7d6a0f2e2dd4d69c8ef406302f82304edec8e902bc6235e0b1"
	if k.String() != id {
		t.Errorf("the id is %s", k)
	}
	sealed, err := hex.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parseKey([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := parsed.open(seeds, "row", sealed); err != nil || string(plain) != "plain" {
		t.Errorf("%q %v", plain, err)
	}
	if overhead != 1+8+24+16 || chacha20poly1305.KeySize != keySize {
		t.Errorf("the overhead is %d", overhead)
	}
}

// TestFile: the file is made once, is its owner's alone, and is never replaced while anything hangs on it.
func TestFile(t *testing.T) {
	t.Run("is_made_once", func(t *testing.T) {
		h := newHouse(t)
		h.must(h.Load(t.Context(), false))
		if _, err := os.Lstat(h.Path()); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("who only looks made it: %v", err)
		}
		if _, err := h.seal(seeds, "row", "plain"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("without a file: %v", err)
		}
		h.must(h.Load(t.Context(), true))
		first := h.content()
		if info, err := os.Stat(h.Path()); err != nil || info.Mode().Perm() != 0o600 || filepath.Base(h.Path()) != "matrix_auth.seal" {
			t.Errorf("%s %v %v", h.Path(), info.Mode(), err)
		}
		h.must(h.Load(t.Context(), true))
		h.restart()
		h.must(h.Load(t.Context(), true))
		if !bytes.Equal(h.content(), first) {
			t.Error("it was made again")
		}
		if files, err := filepath.Glob(filepath.Join(filepath.Dir(h.Path()), ".*")); err != nil || len(files) != 0 {
			t.Errorf("left over are %v %v", files, err)
		}
	})
	t.Run("lost_before_anything_was_sealed", func(t *testing.T) {
		h := newHouse(t)
		h.must(h.Load(t.Context(), true))
		first := h.content()
		h.must(os.Remove(h.Path()))
		h.restart()
		h.must(h.Load(t.Context(), true))
		if bytes.Equal(h.content(), first) {
			t.Error("it is the same")
		}
	})
	t.Run("lost_afterwards", func(t *testing.T) {
		h := newHouse(t)
		h.must(h.Load(t.Context(), true))
		sealed := h.mustSeal(seeds, "row", "plain")
		h.mustSeal(codes, "row", "plain")
		kept := h.content()
		h.must(os.Remove(h.Path()))
		h.wantProblem(true, "is missing", "after the next start", string(seeds)+", "+string(codes))
		if plain, err := h.Open(seeds, "row", sealed); err != nil || string(plain) != "plain" {
			t.Errorf("what is in memory: %q %v", plain, err)
		}
		h.restart()
		h.wantProblem(false, "is missing", "cannot be opened: "+string(seeds)+", "+string(codes), "put the file back")
		if _, err := os.Lstat(h.Path()); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("a new one was made: %v", err)
		}
		h.must(os.WriteFile(h.Path(), kept, 0o600))
		h.must(h.Load(t.Context(), true))
		if plain, err := h.Open(seeds, "row", sealed); err != nil || string(plain) != "plain" || h.Problem() != nil {
			t.Errorf("once it is back: %q %v", plain, err)
		}
	})
	t.Run("of_another_database", func(t *testing.T) {
		h, other := newHouse(t), newHouse(t)
		h.must(errors.Join(h.Load(t.Context(), true), other.Load(t.Context(), true)))
		h.mustSeal(seeds, "row", "plain")
		h.must(os.WriteFile(h.Path(), other.content(), 0o600))
		h.wantProblem(true, "is another one", string(seeds))
		h.restart()
		h.wantProblem(false, "is another one", string(seeds))
		if !bytes.Equal(h.content(), other.content()) {
			t.Error("it was replaced")
		}
	})
	t.Run("a_failed_transaction_notes_nothing", func(t *testing.T) {
		h := newHouse(t)
		h.must(h.Load(t.Context(), true))
		failed := errors.New("failed")
		err := h.store.Update(t.Context(), func(tx *store.Tx) error {
			_, err := h.Seal(tx, seeds, "row", nil)
			return errors.Join(err, failed)
		})
		if !errors.Is(err, failed) {
			t.Fatal(err)
		}
		h.mustSeal(seeds, "row", "plain")
		h.must(os.Remove(h.Path()))
		h.restart()
		h.wantProblem(false, "is missing", string(seeds))
	})
}

// TestAttack: whoever may write beside the database cannot have another file read or replaced, nor the seal made
// anew.
func TestAttack(t *testing.T) {
	for name, test := range map[string]struct {
		plant func(h *house, path string) error
		want  string
	}{
		"a_link_to_a_seal": {func(h *house, path string) error {
			target := filepath.Join(h.t.TempDir(), "target")
			return errors.Join(os.WriteFile(target, []byte("the target"), 0o644), os.Symlink(target, path))
		}, "symbolic link"},
		"a_link_to_nothing": {func(h *house, path string) error {
			return os.Symlink(filepath.Join(h.t.TempDir(), "nothing"), path)
		}, "symbolic link"},
		"a_second_name": {func(h *house, path string) error {
			other := filepath.Join(filepath.Dir(path), "other")
			return errors.Join(os.WriteFile(other, []byte(heading+"\n"), 0o600), os.Link(other, path))
		}, "hard link"},
		"a_directory":   {func(_ *house, path string) error { return os.Mkdir(path, 0o700) }, "is a directory"},
		"an_empty_file": {func(_ *house, path string) error { return os.WriteFile(path, nil, 0o600) }, "is not a seal"},
		"a_heading":     {func(_ *house, path string) error { return os.WriteFile(path, []byte(heading+"\n"), 0o600) }, "cut short"},
		"a_file_cut_short": {func(h *house, path string) error {
			k, err := newKey()
			text := k.text()
			return errors.Join(err, os.WriteFile(path, text[:len(text)-1], 0o600))
		}, "cut short"},
		"more_behind_it": {func(h *house, path string) error {
			k, err := newKey()
			return errors.Join(err, os.WriteFile(path, append(k.text(), '\n'), 0o600))
		}, "was changed"},
		"a_long_file": {func(_ *house, path string) error {
			return os.WriteFile(path, bytes.Repeat([]byte("x"), 1<<20), 0o600)
		}, "is not a seal"},
		"a_newer_one": {func(_ *house, path string) error {
			return os.WriteFile(path, []byte("matrix-auth-seal 2\nabc\n"), 0o600)
		}, "newer version"},
		"somebody_elses": {func(h *house, path string) error {
			if os.Geteuid() != 0 {
				h.t.Skip("it needs root")
			}
			return errors.Join(os.WriteFile(path, []byte("x"), 0o600), os.Chown(path, 4242, 4242))
		}, "belongs to"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, sealed := range []bool{false, true} {
				h := newHouse(t)
				if sealed {
					h.must(h.Load(t.Context(), true))
					h.mustSeal(seeds, "row", "plain")
					h.must(os.Remove(h.Path()))
					h.restart()
				}
				h.must(test.plant(h, h.Path()))
				before, err := os.Lstat(h.Path())
				h.must(err)
				words := []string{test.want}
				if sealed {
					words = append(words, string(seeds))
				}
				h.wantProblem(false, words...)
				if after, err := os.Lstat(h.Path()); err != nil || !os.SameFile(before, after) || before.Mode() != after.Mode() || before.Size() != after.Size() {
					t.Errorf("it was touched: %v", err)
				}
			}
		})
	}
	t.Run("a_file_that_others_may_read_is_closed", func(t *testing.T) {
		h := newHouse(t)
		h.must(h.Load(t.Context(), true))
		h.must(os.Chmod(h.Path(), 0o644))
		h.must(h.Load(t.Context(), true))
		if info, err := os.Stat(h.Path()); err != nil || info.Mode().Perm() != 0o600 || !strings.Contains(h.Mended(), "0644") {
			t.Errorf("%v %v %q", info.Mode(), err, h.Mended())
		}
	})
	t.Run("a_directory_that_cannot_be_written", func(t *testing.T) {
		h := newHouse(t)
		h.Keeper = New(h.store, filepath.Join(t.TempDir(), "missing", "the.seal"))
		h.wantProblem(false, "cannot be made")
	})
}

// TestBackup: a copy of the database has the sealed values and not what opens them.
func TestBackup(t *testing.T) {
	h := newHouse(t)
	h.must(h.Load(t.Context(), true))
	h.mustSeal(seeds, "row", "plain")
	copied, err := h.store.Copy(t.Context())
	h.must(err)
	text, err := os.ReadFile(copied.Name())
	h.must(errors.Join(err, copied.Close()))
	if line := bytes.Split(h.content(), []byte("\n"))[1]; bytes.Contains(text, line) || bytes.Contains(text, h.key.secret[:]) {
		t.Error("the copy has the seal")
	}
	if !bytes.Contains(text, []byte(seeds)) {
		t.Error("the copy does not tell what was sealed")
	}
}

// FuzzOpen: no value opens that was not sealed, and none has it panic.
func FuzzOpen(f *testing.F) {
	k, err := newKey()
	if err != nil {
		f.Fatal(err)
	}
	good, err := k.seal(seeds, "row", []byte("plain"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, "row")
	f.Add([]byte{version}, "")
	f.Fuzz(func(t *testing.T, sealed []byte, row string) {
		plain, err := k.open(seeds, row, sealed)
		if (err == nil) != (bytes.Equal(sealed, good) && row == "row") {
			t.Errorf("%q %v", plain, err)
		}
	})
}

// FuzzFile: what is read as a file is what would be written.
func FuzzFile(f *testing.F) {
	k, err := newKey()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k.text())
	f.Add([]byte(heading))
	f.Fuzz(func(t *testing.T, text []byte) {
		if k, err := parseKey(text); err == nil && !bytes.Equal(k.text(), text) {
			t.Errorf("%q is read as %q", text, k.text())
		}
	})
}
