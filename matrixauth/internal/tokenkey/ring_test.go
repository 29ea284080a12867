package tokenkey

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// house is a database with a ring.
type house struct {
	*Ring
	t     *testing.T
	store *store.Store
}

func newHouse(t *testing.T) *house {
	t.Helper()
	path := filepath.Join(t.TempDir(), "matrix_auth.db")
	s, err := store.Open(t.Context(), store.Options{Path: path, Create: true, NoSync: true, Rehearse: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &house{New(s, Path(path), "example.com"), t, s}
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// again is what the next start of the server has.
func (h *house) again() *house {
	h.t.Helper()
	next := &house{New(h.store, h.path, h.serverName), h.t, h.store}
	h.must(next.Load(h.t.Context()))
	return next
}

func (h *house) renew(leaked bool) (number int) {
	h.t.Helper()
	h.must(h.Renew(h.t.Context(), leaked, func(_ *store.Tx, n int) error { number = n; return nil }))
	return number
}

func (h *house) write(text string) {
	h.t.Helper()
	h.must(os.WriteFile(h.path, []byte(text), 0o600))
}

const sessionID = "01KB1YV5ZK8WXM4T3QF9R2A7CD"

var (
	seed   = []byte("sixteen bytes !!")
	claims = model.Claims{SessionID: sessionID, Generation: 12, MintedAt: time.Unix(1795734000, 0).UTC(), Life: 5 * time.Minute}
)

// TestTokens are tokens and marks that another program computed from the description in docs/sessions.md.
func TestTokens(t *testing.T) {
	h := newHouse(t)
	h.write("matrix-auth-key 1\n7 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
	h.must(h.Load(t.Context()))
	if got := h.all()[0].fingerprint; got != "6799440676dc9f6f" {
		t.Errorf("the fingerprint is %s", got)
	}
	for token, want := range map[string]struct {
		seed   string
		claims model.Claims
	}{
		"mar_05Ts3Rwrwi5D2pKUUOTOBO9cwazpUiIYS146HGIF2mx2HEn3ARRFsjvHvXbGv8U3zL9CD4jFsYSRg67tOvXLNKyL_IlcE64": {
			"101112131415161718191a1b1c1d1e1f", model.Claims{Generation: 12, Life: 5 * time.Minute},
		},
		"mat_B4p0qSUx5UDD2pKUUOTOBO9cwazpUiIYS02Dz04cyQjoHEn3ARRFsjvHvXbGv8U3zL5CvYMS0cHzkJnHakqEokYq_75Au61": {"", model.Claims{Narrowed: true}},
	} {
		got := h.Check(token)
		seed, err := hex.DecodeString(want.seed)
		h.must(err)
		want := want.claims
		want.Key, want.Server, want.SessionID, want.MintedAt = 7, model.ServerMark("example.com"), sessionID, claims.MintedAt
		copy(want.Random[:], "\xc8\xc9\xca\xcb\xcc\xcd\xce\xcf\xd0\xd1\xd2\xd3\xd4\xd5\xd6\xd7")
		if got.Standing != Made || got.Claims != want || !got.Authentic(seed) {
			t.Errorf("%s: %v, %+v, authentic %v", token, got.Standing, got.Claims, got.Authentic(seed))
		}
		if d, _ := model.Describe(token); model.NewSelfDescribingToken(d.Kind, d.Signed, d.Tags) != token {
			t.Errorf("%s is written in another way", token)
		}
	}
	for ip, want := range map[string]string{"192.0.2.7": "07e2c50572d1a7ec16", "::ffff:192.0.2.7": "07e2c50572d1a7ec16", "2001:db8:1:2:3:4:5:6": "077bca49f8b61211e8"} {
		if got := hex.EncodeToString([]byte(h.Network(ip))); got != want {
			t.Errorf("%s is marked %s", ip, got)
		}
	}
}

// TestMint: what a token says is proven by the file and the session together, and by neither alone.
func TestMint(t *testing.T) {
	h := newHouse(t)
	h.must(h.Load(t.Context()))
	other := newHouse(t)
	other.must(other.Load(t.Context()))
	foreign := newHouse(t)
	foreign.serverName, foreign.mark = "example.org", model.ServerMark("example.org")
	foreign.must(foreign.Load(t.Context()))
	for _, kind := range []model.TokenKind{model.CompatAccess, model.CompatRefresh, model.OAuthAccess, model.OAuthRefresh} {
		token := h.Mint(kind, claims, seed)
		if len(token) != 99 || h.Mint(kind, claims, seed) == token {
			t.Errorf("%s is of %d characters, or comes again", token, len(token))
		}
		if got, ok := model.ParseToken(token); !ok || got != kind || !model.MintedToken(token) {
			t.Errorf("%s is taken for %s", token, got)
		}
		got := h.Check(token)
		want := claims
		want.Key, want.Server, want.Random = 1, h.mark, got.Claims.Random
		if got.Kind != kind || got.Standing != Made || got.Claims != want || !got.Authentic(seed) {
			t.Errorf("%s: %+v", token, got)
		}
		if got.Authentic(nil) || got.Authentic([]byte("another's seed !")) {
			t.Error("a token is of a session with another seed")
		}
		if p := other.Check(token); p.Standing != Unproven || p.Authentic(seed) {
			t.Errorf("with another key a token proves %v", p.Standing)
		}
		if p := foreign.Check(token); p.Standing != Foreign {
			t.Errorf("at another server a token proves %v", p.Standing)
		}
	}
	for _, token := range []string{"", "syt_YWxpY2U_abcdefghij_123456", model.NewToken(model.OAuthAccess)} {
		if p := h.Check(token); p.Standing != Foreign || p.Authentic(nil) {
			t.Errorf("%q proves %v", token, p.Standing)
		}
	}
}

// TestEveryBitCounts: no bit of a token can be changed without its tags failing it, or its form.
func TestEveryBitCounts(t *testing.T) {
	h := newHouse(t)
	h.must(h.Load(t.Context()))
	d, ok := model.Describe(h.Mint(model.OAuthRefresh, claims, seed))
	if !ok {
		t.Fatal("no token")
	}
	for bit := range 8 * len(d.Signed) {
		signed := slices.Clone(d.Signed)
		signed[bit/8] ^= 1 << (bit % 8)
		if p := h.Check(model.NewSelfDescribingToken(d.Kind, signed, d.Tags)); bit >= 8*len("mar_") && p.Standing == Made {
			t.Errorf("bit %d can be changed", bit)
		}
	}
	for bit := range 64 {
		tags := d.Tags
		tags.Made[bit/8] ^= 1 << (bit % 8)
		if p := h.Check(model.NewSelfDescribingToken(d.Kind, d.Signed, tags)); p.Standing != Unproven {
			t.Errorf("bit %d of the first tag can be changed: %v", bit, p.Standing)
		}
		tags = d.Tags
		tags.Authentic[bit/8] ^= 1 << (bit % 8)
		if p := h.Check(model.NewSelfDescribingToken(d.Kind, d.Signed, tags)); p.Standing != Made || p.Authentic(seed) {
			t.Errorf("bit %d of the second tag can be changed", bit)
		}
	}
}

// TestKindIsProven: a refresh token cannot be made an access token, nor one of another API.
func TestKindIsProven(t *testing.T) {
	h := newHouse(t)
	h.must(h.Load(t.Context()))
	d, _ := model.Describe(h.Mint(model.OAuthRefresh, claims, seed))
	for _, kind := range []model.TokenKind{model.OAuthAccess, model.CompatRefresh} {
		forged := model.NewSelfDescribingToken(kind, d.Signed, d.Tags)
		if p := h.Check(forged); p.Standing != Unproven {
			t.Errorf("a refresh token passes as %s", kind)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Run("makes_a_file_once", func(t *testing.T) {
		h := newHouse(t)
		if _, err := os.Stat(h.Path()); err == nil {
			t.Fatal("the file is there before it is asked for")
		}
		h.must(h.Load(t.Context()))
		info, err := os.Stat(h.Path())
		h.must(err)
		if info.Mode().Perm() != 0o600 || h.State() != (State{Keys: 1}) {
			t.Errorf("mode %v, %+v", info.Mode(), h.State())
		}
		token := h.Mint(model.OAuthAccess, claims, seed)
		if p := h.again().Check(token); p.Standing != Made {
			t.Error("the next start has another key")
		}
	})
	t.Run("a_file_that_is_gone_is_made_anew_under_another_number", func(t *testing.T) {
		h := newHouse(t)
		h.must(h.Load(t.Context()))
		token := h.Mint(model.OAuthAccess, claims, seed)
		h.must(os.Remove(h.Path()))
		next := h.again()
		if p := next.Check(token); p.Standing != Unproven || next.all()[0].number != 2 || !next.State().Made {
			t.Errorf("%v by key %v, %+v", p.Standing, next.all(), next.State())
		}
	})
	t.Run("a_number_that_was_another_key's_does_not_mint", func(t *testing.T) {
		h, other := newHouse(t), newHouse(t)
		h.must(h.Load(t.Context()))
		other.must(other.Load(t.Context()))
		content, err := os.ReadFile(other.Path())
		h.must(err)
		h.write(string(content))
		next := h.again()
		if len(next.all()) != 2 || next.all()[1].number != 2 {
			t.Errorf("the keys are %v", next.all())
		}
		if p := next.Check(other.Mint(model.OAuthAccess, claims, seed)); p.Standing != Made {
			t.Error("the key of the file proves nothing")
		}
	})
	for name, text := range map[string]string{
		"an_empty_file":     "",
		"a_heading_alone":   "matrix-auth-key 1\n",
		"a_seal":            "matrix-auth-seal 1\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
		"a_newer_form":      "matrix-auth-key 2\n1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
		"a_secret_cut":      "matrix-auth-key 1\n1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==\n",
		"no_end":            "matrix-auth-key 1\n1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
		"number_nought":     "matrix-auth-key 1\n0 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
		"number_256":        "matrix-auth-key 1\n256 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
		"a_number_twice":    "matrix-auth-key 1\n1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
		"something_behind":  "matrix-auth-key 1\n1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\nx\n",
		"a_space_too_many":  "matrix-auth-key 1\n1  AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
		"an_unusual_number": "matrix-auth-key 1\n+1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.write(text)
			err := h.Load(t.Context())
			var problem *Error
			if !errors.As(err, &problem) || h.State().Problem != problem || strings.Contains(err.Error(), "AAECAwQF") || !strings.Contains(err.Error(), h.path) {
				t.Fatalf("%v", err)
			}
			if content, err := os.ReadFile(h.path); err != nil || string(content) != text {
				t.Errorf("the file was changed, %v", err)
			}
			// Nobody is kept from signing in.
			if kind, ok := model.ParseToken(h.Mint(model.OAuthAccess, claims, seed)); !ok || kind != model.OAuthAccess {
				t.Error("it mints no token")
			}
			h.must(os.Remove(h.path))
			h.must(h.Load(t.Context()))
			if h.State().Problem != nil {
				t.Error("it stays unusable")
			}
		})
	}
	t.Run("a_file_that_is_damaged_later_leaves_the_keys_in_memory", func(t *testing.T) {
		h := newHouse(t)
		h.must(h.Load(t.Context()))
		h.write("rubbish")
		if err := h.Load(t.Context()); err == nil || h.Check(h.Mint(model.OAuthAccess, claims, seed)).Standing != Made {
			t.Errorf("the keys are gone: %v", err)
		}
	})
	t.Run("a_file_that_is_taken_from_a_server_comes_back", func(t *testing.T) {
		h := newHouse(t)
		h.must(h.Load(t.Context()))
		token := h.Mint(model.OAuthAccess, claims, seed)
		h.must(os.Remove(h.Path()))
		h.must(h.Load(t.Context()))
		if next := h.again(); next.Check(token).Standing != Made || h.State() != (State{Keys: 1}) {
			t.Errorf("it has other keys: %+v", h.State())
		}
	})
	t.Run("a_link_is_not_followed", func(t *testing.T) {
		h := newHouse(t)
		elsewhere := filepath.Join(t.TempDir(), "key")
		h.must(os.WriteFile(elsewhere, nil, 0o600))
		h.must(os.Symlink(elsewhere, h.path))
		if err := h.Load(t.Context()); err == nil {
			t.Error("it is")
		}
	})
}

// TestMintWhileRenewing: tokens are minted in the middle of writes to the database, and a look at the file writes too:
// neither waits for the other.
func TestMintWhileRenewing(t *testing.T) {
	h := newHouse(t)
	h.must(h.Load(t.Context()))
	inside, renewed := make(chan struct{}), make(chan error)
	go func() {
		<-inside
		renewed <- h.Renew(context.Background(), false, func(*store.Tx, int) error { return nil })
	}()
	var once sync.Once
	h.must(h.store.Update(t.Context(), func(*store.Tx) error {
		once.Do(func() { close(inside) })
		for { // the renewal goes on until its own write
			if _, err := os.Lstat(h.preparedPath()); err == nil {
				break
			}
			runtime.Gosched()
		}
		if h.Check(h.Mint(model.OAuthAccess, claims, seed)).Standing != Made {
			t.Error("no token is minted meanwhile")
		}
		return nil
	}))
	h.must(<-renewed)
	if h.Check(h.Mint(model.OAuthAccess, claims, seed)).Claims.Key != 2 {
		t.Error("the new key does not mint")
	}
}

func TestRenew(t *testing.T) {
	h := newHouse(t)
	h.must(h.Load(t.Context()))
	first := h.Mint(model.OAuthAccess, claims, seed)
	if number := h.renew(false); number != 2 {
		t.Errorf("the new key is %d", number)
	}
	second := h.Mint(model.OAuthAccess, claims, seed)
	for _, ring := range []*house{h, h.again()} {
		if a, b := ring.Check(first), ring.Check(second); a.Standing != Made || b.Standing != Made || b.Claims.Key != 2 {
			t.Errorf("an old token proves %v, a new one %v by key %d", a.Standing, b.Standing, b.Claims.Key)
		}
	}
	h.renew(true)
	third := h.Mint(model.OAuthAccess, claims, seed)
	for _, ring := range []*house{h, h.again()} {
		if a, b, c := ring.Check(first), ring.Check(second), ring.Check(third); a.Standing != Unproven || b.Standing != Unproven || c.Standing != Made {
			t.Errorf("tokens prove %v %v %v", a.Standing, b.Standing, c.Standing)
		}
	}
	// A leaked file that is put back has no number of the newest.
	if number := h.renew(false); number != 4 {
		t.Errorf("the next key is %d", number)
	}
	t.Run("until_there_are_no_numbers", func(t *testing.T) {
		h := newHouse(t)
		h.write("matrix-auth-key 1\n254 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
		h.must(h.Load(t.Context()))
		h.renew(true)
		err := h.Renew(context.Background(), false, func(*store.Tx, int) error { return nil })
		if err == nil || h.Check(h.Mint(model.OAuthAccess, claims, seed)).Claims.Key != 255 {
			t.Errorf("after 255 keys: %v", err)
		}
	})
}

// TestSecretsAreNotPrinted: no way to print a key shows it.
func TestSecretsAreNotPrinted(t *testing.T) {
	k, err := keyOf(1, [secretSize]byte([]byte("the secret of a key, 32 bytes !!")), "example.com")
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, []*key{k}) + fmt.Sprintf(format, k); strings.Contains(got, "the secret") || strings.Contains(got, "116, 104") || strings.Contains(got, "74686520") {
			t.Errorf("%s prints %s", format, got)
		}
	}
}

// TestNetwork: nobody's network is that of this machine, and marks of two keys tell of no difference.
func TestNetwork(t *testing.T) {
	h := newHouse(t)
	h.must(h.Load(t.Context()))
	for _, nowhere := range []string{"", "rubbish", "127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"} {
		if mark := h.Network(nowhere); mark != "" {
			t.Errorf("%q is marked", nowhere)
		}
	}
	home, abroad := h.Network("192.0.2.7"), h.Network("198.51.100.7")
	v6, zone := h.Network("2001:db8::1"), h.all()[0].network(netip.MustParseAddr("fe80::1%eth0"))
	if home.Meets(abroad) || home.Meets(v6) || !home.Meets(h.Network("192.0.2.7")) || !home.Meets("") || !model.NetworkMark("").Meets(home) {
		t.Error("networks are mistaken for one another")
	}
	if v6 != h.Network("2001:db8::ffff:1") || v6 == h.Network("2001:db8:0:1::1") || zone != h.all()[0].network(netip.MustParseAddr("fe80::2")) {
		t.Error("an IPv6 network is not a /64")
	}
	h.renew(false)
	if next := h.Network("198.51.100.7"); !home.Meets(next) || next.Meets(h.Network("192.0.2.7")) {
		t.Error("marks of two keys are compared")
	}
}
