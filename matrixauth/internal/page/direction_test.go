package page

import (
	"io/fs"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// persian is a catalogue with texts that are written from right to left, of which most are missing.
func persian(t *testing.T) *texts {
	t.Helper()
	c, err := newCatalogue(fstest.MapFS{"fa.json": {Data: []byte(`{
		"account.device": "دستگاه {device}", "consent.title": "ادامه به {client}؟", "mail.notice.account": "حساب", "mail.notice.when": "زمان",
		"mail.decided.ready": "حساب {account} آماده است."
	}`)}})
	if err != nil {
		t.Fatal(err)
	}
	return c.choose("fa", "")
}

// TestRightToLeftTexts: IDs, hosts and addresses are read from left to right in a text of the other direction, and names
// in their own.
func TestRightToLeftTexts(t *testing.T) {
	s := persian(t)
	for got, want := range map[string]string{
		string(s.rich("account.device", "device", "ABC")):   `دستگاه <bdi dir="ltr">ABC</bdi>`,
		string(s.rich("consent.title", "client", "تلگرام")): "ادامه به <bdi>تلگرام</bdi>؟",
		s.text("consent.title", "client", "Element"):        "ادامه به \u2068Element\u2069؟",
		s.text("mail.decided.ready", "account", "@a:b"):     "حساب \u2066@a:b\u2069 آماده است.",
		// Texts from left to right have no signs that nobody sees.
		ourTexts(t).languages[0].text("mail.decided.ready", "account", "@a:b"): "Your account @a:b is ready. Sign in with the password that you chose.",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestRightToLeftLetters: a mail says its direction where programs that cut off its head read it too, and IDs, times and
// addresses in it are read from left to right.
func TestRightToLeftLetters(t *testing.T) {
	p, s := newPages(t, Config{}), persian(t)
	subject, text, html, err := p.renderLetter(s, Notice{Kind: model.NoticePassword, At: now, MatrixID: "@a:b"})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"\u2066@a:b\u2069", "زمان: \u20662026-03-04 05:06 UTC\u2069\n", "\nhttps://matrix.example.com/account/\n"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in the text:\n%s", part, text)
		}
	}
	if !strings.HasSuffix(subject, "\u2066@a:b\u2069") {
		t.Errorf("the subject is %q", subject)
	}
	for _, part := range []string{`<html lang="fa" dir="rtl">`, `<div lang="fa" dir="rtl"`, `<bdi dir="ltr">@a:b</bdi>`, `<bdi dir="ltr">2026-03-04 05:06 UTC</bdi>`, `account/" dir="ltr">`} {
		if !strings.Contains(html, part) {
			t.Errorf("%q is not in the HTML:\n%s", part, html)
		}
	}
}

// TestDirectionOfValues: templates write IDs, hosts and addresses from left to right, and say of each field that people
// type into which way it runs.
func TestDirectionOfValues(t *testing.T) {
	field := regexp.MustCompile(`<(?:input|textarea)\b(?:[^>"]|"[^"]*")*>`)
	unseen := regexp.MustCompile(`type="(?:hidden|checkbox|radio|file|submit)"| hidden>`)
	value := regexp.MustCompile(`<bdi>\{\{[^}]*(?:Host|ID|Account|Address|IP|Code|Email|Username|Destination|ServerName|\.Time [^}]*)\}\}`)
	seen := 0
	for _, folder := range []fs.FS{embedded, embeddedLetters} {
		err := fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".html") {
				return err
			}
			text, err := fs.ReadFile(folder, path)
			for _, found := range field.FindAllString(string(text), -1) {
				if unseen.MatchString(found) {
					continue
				}
				seen++
				if !strings.Contains(found, ` dir="`) {
					t.Errorf("%s: which way does this field run? %s", path, found)
				}
			}
			for _, found := range value.FindAllString(string(text), -1) {
				t.Errorf(`%s: %s needs dir="ltr"`, path, found)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 15 {
		t.Errorf("only %d fields were found", seen)
	}
}

// TestValuesInButtons: a value in a button is one piece with the words around it. The parts of a button lie beside each
// other, each with lines of its own, if they are not.
func TestValuesInButtons(t *testing.T) {
	apart := regexp.MustCompile(`<(?:button|a class="button[^"]*")[^>]*>\{\{[^}]*Rich `)
	names, err := fs.Glob(embedded, "templates/*.html")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(embedded, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range apart.FindAllString(string(text), -1) {
			t.Errorf("%s: %s needs a <span> around it", name, found)
		}
	}
}

// TestRightToLeftPages: a page in such a language is turned around.
func TestRightToLeftPages(t *testing.T) {
	p := newPages(t, Config{Name: "Example"})
	p.catalogue.languages = append(p.catalogue.languages, persian(t))
	for _, sample := range Samples(now) {
		v := &view{pages: p, texts: persian(t), Page: sample, token: func() string { return "token" }}
		w := httptest.NewRecorder()
		if err := p.templates[sample.template()].Execute(w, v); err != nil {
			t.Fatal(err)
		}
		if body := w.Body.String(); !strings.Contains(body, `<html lang="fa" dir="rtl">`) {
			t.Errorf("%s is not turned around", sample.template())
		}
	}
}
