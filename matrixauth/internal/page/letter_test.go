package page

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestLetters: each mail has one line of subject, a text without HTML, and HTML that loads nothing and leads only to the
// issuer (HTTP-2, MAIL-4, MAIL-11), in every language.
func TestLetters(t *testing.T) {
	p := newPages(t, Config{Name: "Example & <Sons>"})
	for _, sample := range LetterSamples(now) {
		for _, lang := range p.Languages() {
			subject, text, html, err := p.Letter(lang, sample)
			if err != nil {
				t.Fatal(err)
			}
			if subject == "" || strings.ContainsAny(subject, "\r\n") {
				t.Errorf("%#v in %s: the subject is %q", sample, lang, subject)
			}
			if strings.Contains(text, "&amp;") || strings.Contains(text, "<bdi>") || !strings.Contains(text, "Example & <Sons>") {
				t.Errorf("%#v in %s: the text is\n%s", sample, lang, text)
			}
			if strings.Contains(html, "<Sons>") || !strings.Contains(html, "<html lang=\""+lang+"\"") {
				t.Errorf("%#v in %s: the HTML is\n%s", sample, lang, html)
			}
			for _, address := range regexp.MustCompile(`(?:src|href|url)\s*[=(]\s*"?([^">)]*)`).FindAllStringSubmatch(html, -1) {
				if !strings.HasPrefix(address[1], "https://matrix.example.com/") {
					t.Errorf("%#v in %s leads to %s", sample, lang, address[1])
				}
			}
			if regexp.MustCompile(`(?i)<(script|img|link|iframe|form)`).MatchString(html) {
				t.Errorf("%#v in %s loads something:\n%s", sample, lang, html)
			}
		}
	}
}

// TestLetterLanguage: a mail is in the nearest language that there is.
func TestLetterLanguage(t *testing.T) {
	p := newPages(t, Config{})
	for asked, want := range map[string]string{"": "en", "de": "de", "de-AT": "de", "eo": "en", "eo de": "de", "not a tag": "en"} {
		subject, _, html, err := p.Letter(asked, Notice{Kind: model.NoticePassword, At: now, MatrixID: "@a:b"})
		if err != nil || !strings.Contains(html, `lang="`+want+`"`) || p.LetterLanguage(asked) != want {
			t.Errorf("%q is %s: %q %v", asked, p.LetterLanguage(asked), subject, err)
		}
	}
}

// TestOwnLetters: files of an operator replace ours one by one, and a mistake in one is found when it is read.
func TestOwnLetters(t *testing.T) {
	folder := func(name, text string) string {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, letterFolder), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, letterFolder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	p := newPages(t, Config{Folder: folder("trial.txt", `{{define "subject"}}Hello`+"\n"+`there{{end}}{{define "content"}}<{{.Name}}>{{end}}`), Name: "Here"})
	subject, text, html, err := p.Letter("en", Trial{At: now})
	if err != nil || subject != "Hello there" || !strings.HasPrefix(text, "<Here>\n") || !strings.Contains(html, "test mail") {
		t.Errorf("%q %q %q %v", subject, text, html, err)
	}
	for name, file := range map[string][2]string{
		"a name that there is not":   {"welcome.txt", `{{define "subject"}}x{{end}}{{define "content"}}x{{end}}`},
		"another ending":             {"trial.md", "x"},
		"a field that there is not":  {"trial.html", `{{define "content"}}{{.Letter.Nothing}}{{end}}`},
		"a field in one language":    {"trial.html", `{{define "content"}}{{if eq .Lang "de"}}{{.Letter.Nothing}}{{end}}{{end}}`},
		"no subject":                 {"trial.txt", `{{define "content"}}x{{end}}`},
		"a mistake in the grammar":   {"notice.txt", `{{if}}`},
		"one mistake in the grammar": {"layout.html", `{{end}}`},
	} {
		if _, err := tryPages(Config{Folder: folder(file[0], file[1])}); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}
