package password

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// standard is the policy of an operator who chose nothing.
func standard() *Policy { return NewPolicy(PolicyConfig{MinScore: DefaultMinScore}) }

// longUnlike is as long as a password may be.
var longUnlike = func() string {
	text := ""
	for i := 0; len(text) < bound.PasswordMost; i++ {
		text += string(rune('a' + i*i*7%26))
		text += string(rune('!' + i*i*i%90))
	}
	return text[:bound.PasswordMost]
}()

// aliceAbout is what is known of the account in the cases below.
var aliceAbout = []string{"alice.smith", "Älice Wunderland", "a.smith@mail.example.org", "matrix.example.com"}

// TestPolicy: what is refused, and the reason that is told (PW-5, PW-6).
func TestPolicy(t *testing.T) {
	for clear, want := range map[string]Reason{
		// Nothing is asked for but that it is hard to guess: no kinds of characters, blanks as much as anything.
		"correct horse battery":         "",
		"vier wörter ohne zusammenhang": "",
		"  two blanks at both ends  ":   "",
		"zq7ëvm2öw":                     "",
		"kT9#vLq2x":                     "",
		"kT9#vLq2":                      Guessable,
		"пять разных слов подряд":    "",
		"五つの関係ない言葉":                  "",
		strings.Repeat("x7 Kp", 800): Repeats,
		longUnlike:                   "",
		"horse alice battery wonder": "",
		"dragon-teapot-4711-glacier": "",
		"ecila-teapot-4711-glacier":  "",
		"":                           TooShort,
		"kT9#vLq":                    TooShort,
		"äöüßéèñ":                    TooShort,
		strings.Repeat("e\u0301", 7): TooShort, // seven characters to whoever types them
		"\ufdfd":                     TooShort, // whose normal form has eighteen
		strings.Repeat("x", 4097):    TooLong,
		"kT9#vLq2\x00rest":           NotText,
		"kT9#vLq2\xff":               NotText,
		"password":                   Common,
		"PassWord":                   Common,
		"\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44": Common, // full-width letters, which the hash takes for these
		"iloveyou":                 Common,
		"trustno1":                 Common,
		"12345678":                 Common,
		"dragon99":                 Common,
		"!monkey1!":                Common,
		"alice.smith":              Personal,
		"AliceSmith":               Personal,
		"ecilahtims":               Personal,
		"alicesmith2024":           Personal,
		"alice 31-12-2004":         Personal,
		"smith.alice!":             Personal,
		"älicewunderland":          Personal,
		"wunderland12345678":       Personal,
		"matrix.example.com":       Personal,
		"example.org-99":           Personal,
		"a.smith@mail.example.org": Personal,
		"smithsmith":               Personal,
		"smithxq1":                 Personal, // found by zxcvbn
		"aaaaaaaaaaaa":             Repeats,
		"abcabcabcabc":             Repeats,
		"ababababababab":           Repeats,
		"efghijklmnop":             Sequence,
		"34567890123":              Sequence,
		"123qwefghjkl;":            Keyboard,
		"13.05.1987":               Date,
		"1987-05-13":               Date,
		"pelican bay":              FewWords,
		"d1fficult":                FewWords,
		"jennifer77":               Common,
		"thanksgiving":             FewWords,
	} {
		t.Run(cut(clear, 30), func(t *testing.T) {
			err := standard().Check(clear, aliceAbout...)
			if got := ReasonOf(err); got != want {
				t.Errorf("%.40q is refused for %q, want %q", clear, got, want)
			}
			if err != nil && want != Common && clear != "" && strings.Contains(err.Error(), clear) { // PW-9
				t.Errorf("the error has the password in it: %v", err)
			}
		})
	}
}

// TestPolicyOptions: what an operator may choose, and what nobody may.
func TestPolicyOptions(t *testing.T) {
	for name, c := range map[string]struct {
		config PolicyConfig
		clear  string
		want   Reason
	}{
		"a greater length":                  {PolicyConfig{MinLength: 15, MinScore: 3}, "kT9#vLq2wm", TooShort},
		"a length below the floor":          {PolicyConfig{MinLength: 4, MinScore: 0}, "kT9#", TooShort},
		"any score":                         {PolicyConfig{}, "elephants", ""},
		"any score, but not a common one":   {PolicyConfig{}, "password", Common},
		"any score, but not one's own name": {PolicyConfig{}, "smith.alice", Personal},
		"the least score lets pass":         {PolicyConfig{MinScore: 1}, "warehouses", ""},
		"the best score":                    {PolicyConfig{MinScore: 4}, "kT9#vLq2x", Guessable},
		"the best score of a good password": {PolicyConfig{MinScore: 4}, "correct horse battery", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ReasonOf(NewPolicy(c.config).Check(c.clear, aliceAbout...)); got != c.want {
				t.Errorf("%q is refused for %q, want %q", c.clear, got, c.want)
			}
		})
	}
	if err := NewPolicy(PolicyConfig{MinLength: 15}).Check("short"); err == nil || !strings.Contains(err.Error(), "at least 15 characters") {
		t.Errorf("told is %v", err)
	}
	floor := NewPolicy(PolicyConfig{MinLength: 15, MinScore: 4})
	for clear, want := range map[string]Reason{"password": "", "passwor": TooShort, "password\x00": NotText, strings.Repeat("x", 4097): TooLong} {
		if got := ReasonOf(floor.CheckFloor(clear)); got != want {
			t.Errorf("the floor refuses %.20q for %q, want %q", clear, got, want)
		}
	}
	if ReasonOf(ErrTooLong) != TooLong || ReasonOf(errors.New("else")) != "" {
		t.Error("other errors have other reasons")
	}
}

// TestCommonList: the list is what lists/README.md says, and is searched where it lies.
func TestCommonList(t *testing.T) {
	n := len(common) / commonMark
	if n < 50_000 || len(common)%commonMark != 0 {
		t.Fatalf("the list has %d bytes", len(common))
	}
	for i := 1; i < n; i++ {
		if common[(i-1)*commonMark:i*commonMark] >= common[i*commonMark:(i+1)*commonMark] {
			t.Fatalf("entry %d is not in its place", i)
		}
	}
	for _, clear := range []string{"123456", "qwerty", "princess", "football", "1q2w3e4r5t", "jamesbond", "babygurl"} {
		if !isListed(clear) {
			t.Errorf("%q is not on the list", clear)
		}
	}
	if allocs := testing.AllocsPerRun(100, func() { isListed("some other password") }); allocs > 2 {
		t.Errorf("a look-up takes %v allocations", allocs)
	}
}

// TestReasonsAreSaid: each reason has a sentence.
func TestReasonsAreSaid(t *testing.T) {
	for _, reason := range Reasons {
		if text := standard().weak(reason).Error(); text == "" {
			t.Errorf("nothing is said of %q", reason)
		}
	}
}

// TestEstimateIsBounded: a password that is made up to cost much costs no more than another (PW-4).
func TestEstimateIsBounded(t *testing.T) {
	signs := "4@8({[<369!1|70$5+%2"
	for _, clear := range []string{
		strings.Repeat(signs, 200), strings.Repeat("a", 4096), strings.Repeat("ab1", 1365), strings.Repeat("äöü", 600), "p4$$w0rd" + strings.Repeat(signs+"password", 40),
	} {
		// What a thousand ways cost with a hundred characters is a second.
		if judged := beginning(clear); len(judged) < 10 || len(judged)*len(judged)*leetWays(judged) > 100_000 {
			t.Errorf("of %.30q %q is judged, in %d ways", clear, judged, leetWays(judged))
		}
		began := time.Now()
		standard().Check(clear)
		// A hash takes some forty milliseconds; a machine under load is given twenty times that.
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%.30q takes %v", clear, took)
		}
	}
	if ways := leetWays(signs); ways < 500 {
		t.Errorf("all signs have %d ways", ways)
	}
	if ways := leetWays("correct horse battery"); ways != 1 {
		t.Errorf("letters have %d ways", ways)
	}
}

// blocklist writes a file of passwords.
func blocklist(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "refused.txt")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBlocklist: an operator's file is searched where it lies, in any shape that its check lets pass.
func TestBlocklist(t *testing.T) {
	long := "z" + strings.Repeat("ö", (bound.PasswordMost-1)/2)
	lines := []string{"Zwölf Boxkämpfer", "fredericks garden", "kT9#vLq2wm", "our old wifi password", "plum-otter-basin", "x", "zq7ëvm2ö", long}
	slices.Sort(lines)
	for name, text := range map[string]string{
		"with an end of line": strings.Join(lines, "\n") + "\n", "without": strings.Join(lines, "\n"), "with an empty line": "\n" + strings.Join(lines, "\n"),
		"with one twice": strings.ReplaceAll(strings.Join(lines, "\n"), "plum-otter-basin", "plum-otter-basin\nplum-otter-basin"),
	} {
		t.Run(name, func(t *testing.T) {
			path := blocklist(t, text)
			if err := CheckBlocklist(path); err != nil {
				t.Fatal(err)
			}
			p := NewPolicy(PolicyConfig{Blocklist: path, BlocklistFailed: func(err error) { t.Error(err) }})
			for _, line := range lines {
				want := Common
				if line == "x" {
					want = TooShort
				}
				if got := ReasonOf(p.Check(line)); got != want {
					t.Errorf("%.20q is refused for %q", line, got)
				}
			}
			if got := ReasonOf(p.Check("Plum-Otter-Basin")); got != Common {
				t.Errorf("in capitals it is refused for %q", got)
			}
			for _, other := range []string{"kT9#vLq2wl", "kT9#vLq2wn", "our old wifi passwor", "our old wifi passwords", "aaa is before all", "\U0010ffff is behind all"} {
				if err := p.Check(other); err != nil {
					t.Errorf("%q: %v", other, err)
				}
			}
		})
	}
	t.Run("gone since it was checked", func(t *testing.T) {
		var told error
		p := NewPolicy(PolicyConfig{MinScore: 3, Blocklist: filepath.Join(t.TempDir(), "gone"), BlocklistFailed: func(err error) { told = err }})
		if err := p.Check("correct horse battery"); err != nil || told == nil {
			t.Errorf("refused: %v, told: %v", err, told)
		}
		if ReasonOf(p.Check("password")) != Common {
			t.Error("the built-in list is gone with it")
		}
	})
}

// TestBlocklistIsChecked: the error names the line.
func TestBlocklistIsChecked(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"not sorted":       {"alpha\nbeta\nalpine\n", "line 3: comes before"},
		"not UTF-8":        {"alpha\nb\xffta\n", "line 2: is not UTF-8"},
		"from Windows":     {"alpha\r\nbeta\r\n", "line 1: ends in a carriage return"},
		"no password":      {"alpha\n" + strings.Repeat("b", 5000), "line 2: has more than 4096 bytes"},
		"no line at all":   {"alpha\n" + strings.Repeat("b", 1<<20), "line 2: has more than 4096 bytes"},
		"sorted by others": {"Beta\nalpha\nÖl\nomega\n", "line 4: comes before"},
		"empty":            {"", "is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := CheckBlocklist(blocklist(t, c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("told is %v", err)
			}
		})
	}
	if err := CheckBlocklist(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("a folder: %v", err)
	}
	if err := CheckBlocklist("/nowhere"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// FuzzPolicy: whatever is typed is judged, without a panic and with no more work than is allowed, and what the operator goes
// against knowingly is never more than what is refused anyway.
func FuzzPolicy(f *testing.F) {
	for _, seed := range []string{"", "correct horse", "p4$$w0rd!", "aaaaaaaa", "äöüäöüäöü", "\u1e9e\u0130\u0131ſſ", "line\nline\nline", "13.05.1987", "e\u0301\u0327\u0301", "\U0001f469\u200d\U0001f680\U0001f469\u200d\U0001f680", "\x00\xff"} {
		f.Add(seed, "alice", "Ä. Smith")
	}
	p := NewPolicy(PolicyConfig{MinScore: MaxScore})
	loose := NewPolicy(PolicyConfig{})
	f.Fuzz(func(t *testing.T, clear, localpart, name string) {
		strict := p.Check(clear, localpart, name)
		if strict == nil && loose.Check(clear, localpart, name) != nil {
			t.Error("the strict policy lets more pass")
		}
		if floor := p.CheckFloor(clear); floor != nil && strict == nil {
			t.Error("the floor lets less pass")
		}
		if strict != nil && !slices.Contains(Reasons, ReasonOf(strict)) {
			t.Errorf("refused for %q", ReasonOf(strict))
		}
		if strict == nil && (utf8.RuneCountInString(clear) < bound.PasswordLeast || !utf8.ValidString(clear) || len(clear) > bound.PasswordMost) {
			t.Error("below the floor")
		}
	})
}

// FuzzBlocklist: the search finds exactly the lines, whatever they are.
func FuzzBlocklist(f *testing.F) {
	f.Add("alpha\nbeta\n\ngamma", "beta")
	f.Add("a", "")
	f.Fuzz(func(t *testing.T, text, word string) {
		lines := strings.Split(text, "\n")
		slices.Sort(lines)
		sorted := strings.Join(lines, "\n")
		if strings.Contains(word, "\n") || word == "" || len(text) > 1<<16 || slices.ContainsFunc(lines, func(l string) bool { return len(l) > bound.PasswordMost }) {
			return
		}
		for _, w := range append(lines, word) {
			if w == "" {
				continue
			}
			found, err := searchLines(bytes.NewReader([]byte(sorted)), int64(len(sorted)), []byte(w))
			if err != nil || found != slices.Contains(lines, w) {
				t.Errorf("%q in %q: %v, %v", w, lines, found, err)
			}
		}
		// A file that was changed since leads to a wrong answer at most.
		_, _ = searchLines(bytes.NewReader([]byte(text)), int64(len(text))*2, []byte(word))
	})
}
