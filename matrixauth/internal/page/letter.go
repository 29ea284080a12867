package page

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	html "html/template"
	"io/fs"
	"path"
	"slices"
	"strings"
	text "text/template"
	"time"
)

//go:embed templates/mail/*.txt templates/mail/*.html
var embeddedLetters embed.FS

// letterFolder is where the templates of mails lie: ours, and below an operator's folder theirs.
const letterFolder = "mail"

// Letter is what a mail says. Each of its types belongs to a pair of templates, NAME.txt and NAME.html, whose texts are
// those of the catalogue that begin with "mail.NAME.". It holds nothing that a stranger may write freely: no display name,
// no name of an app (MAIL-11).
type Letter interface{ letter() string }

// LetterSamples returns mails with made-up data, each template in each of its shapes.
func LetterSamples(now time.Time) []Letter {
	return slices.Concat(trialSamples(now), noticeSamples(now), codeSamples(), decidedSamples(), recoveryLetterSamples())
}

// letterTemplates are the two forms of one kind of mail.
type letterTemplates struct {
	text *text.Template
	html *html.Template
}

// letterNames are the kinds of mail, of which each has one sample at least.
var letterNames = func() (all []string) {
	for _, sample := range LetterSamples(time.Time{}) {
		all = append(all, sample.letter())
	}
	slices.Sort(all)
	return slices.Compact(all)
}()

// letterView is what templates of mails see: the data of the mail under Letter, and what all mails have.
type letterView struct {
	pages *Pages
	texts *texts
	// Letter is the data of the mail.
	Letter Letter
}

// T returns a text of the catalogue; pairs are the values for its places.
func (v *letterView) T(key string, pairs ...string) string { return v.texts.text(key, pairs...) }

// Rich returns a text of the catalogue for HTML, whose values are set apart.
func (v *letterView) Rich(key string, pairs ...string) html.HTML { return v.texts.rich(key, pairs...) }

// LTR sets a Matrix ID, a time or such apart in the plain text of a mail, so that it is read from left to right whatever the
// language is.
func (v *letterView) LTR(value string) string { return v.texts.isolate(leftToRight[0], value) }

// Count returns a text in the form for a number.
func (v *letterView) Count(key string, n int) string { return v.texts.count(key, n) }

// Lang returns the language of the mail, and Dir the direction of its writing.
func (v *letterView) Lang() string { return v.texts.tag.String() }

// Dir returns "ltr" or "rtl".
func (v *letterView) Dir() string { return v.texts.direction() }

// Name returns the name of the service.
func (v *letterView) Name() string { return v.pages.Name }

// Host returns the host of the service's address.
func (v *letterView) Host() string { return v.pages.host }

// Address returns the whole address of one of our pages by its path below the issuer. It follows from the configuration
// alone, whatever a request said (HTTP-2, MAIL-4).
func (v *letterView) Address(below string) string { return v.pages.Issuer.String() + below }

// AccountAddress returns the whole address of the account page.
func (v *letterView) AccountAddress() string { return v.Address(AccountPath) }

// Accent returns the accent colour, and OnAccent that of text on it, for styles in the mail: no mail loads a stylesheet.
func (v *letterView) Accent() string { return v.accent().String() }

// OnAccent returns the colour of text on the accent colour.
func (v *letterView) OnAccent() string { return v.accent().on().String() }

func (v *letterView) accent() colour {
	accent, err := parseColour(v.pages.Accent)
	if err != nil {
		return colour{} // New has read it before
	}
	return accent
}

// Time returns a time in UTC, as nobody told us the reader's zone.
func (v *letterView) Time(at time.Time) string { return at.UTC().Format("2006-01-02 15:04 UTC") }

// makeLetters reads the templates of all mails and tries them with the samples.
func (p *Pages) makeLetters(folder fs.FS) error {
	p.letters = map[string]letterTemplates{}
	for _, name := range letterNames {
		var made letterTemplates
		var err error
		if made.text, err = parseTextLetter(folder, name); err != nil {
			return err
		}
		if made.html, err = parseHTMLLetter(folder, name); err != nil {
			return err
		}
		p.letters[name] = made
	}
	for _, sample := range LetterSamples(p.Now()) {
		for _, t := range p.tried(folder, letterFiles(sample.letter())...) {
			if _, _, _, err := p.renderLetter(t, sample); err != nil {
				return err
			}
		}
	}
	return nil
}

// letterFiles are the files of which a mail is made.
func letterFiles(name string) (all []string) {
	for _, part := range []string{layout, name} {
		all = append(all, path.Join(letterFolder, part+".txt"), path.Join(letterFolder, part+".html"))
	}
	return all
}

// parseTextLetter reads the layout of texts with one template in it.
func parseTextLetter(folder fs.FS, name string) (*text.Template, error) {
	t := text.New("layout.txt").Option("missingkey=error")
	for _, part := range []string{layout, name} {
		content, err := readLetter(folder, part+".txt")
		if err != nil {
			return nil, err
		}
		of := t
		if part != layout {
			of = t.New(name + ".txt")
		}
		if _, err := of.Parse(string(content)); err != nil {
			return nil, fmt.Errorf("%s: %w", letterFolder, err)
		}
	}
	return t, nil
}

// parseHTMLLetter reads the layout of HTML with one template in it.
func parseHTMLLetter(folder fs.FS, name string) (*html.Template, error) {
	t := html.New("layout.html").Option("missingkey=error")
	for _, part := range []string{layout, name} {
		content, err := readLetter(folder, part+".html")
		if err != nil {
			return nil, err
		}
		of := t
		if part != layout {
			of = t.New(name + ".html")
		}
		if _, err := of.Parse(string(content)); err != nil {
			return nil, fmt.Errorf("%s: %w", letterFolder, err)
		}
	}
	return t, nil
}

// readLetter returns the operator's file, or ours if there is none.
func readLetter(folder fs.FS, name string) ([]byte, error) {
	if folder != nil {
		data, err := fs.ReadFile(folder, path.Join(letterFolder, name))
		if !errors.Is(err, fs.ErrNotExist) {
			return data, err
		}
	}
	return embeddedLetters.ReadFile("templates/" + letterFolder + "/" + name)
}

// checkLetters finds files whose names promise something that we would not do.
func checkLetters(folder fs.FS) error {
	entries, err := fs.ReadDir(folder, letterFolder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		ending := path.Ext(entry.Name())
		name := strings.TrimSuffix(entry.Name(), ending)
		if ending != ".txt" && ending != ".html" || name != layout && !slices.Contains(letterNames, name) {
			return fmt.Errorf("%s/%s is not a template of a mail; there are %s.txt, %s.txt, and the same with .html", letterFolder, entry.Name(), layout, strings.Join(letterNames, ".txt, "))
		}
	}
	return nil
}

// Letter renders a mail in a language, which is a BCP 47 tag or a list of them as ui_locales has it; the fallback if
// there are no texts in it, or it is empty.
func (p *Pages) Letter(language string, content Letter) (subject, text, html string, err error) {
	return p.renderLetter(p.catalogue.choose(language, ""), content)
}

func (p *Pages) renderLetter(t *texts, content Letter) (subject, plain, rich string, err error) {
	templates, ok := p.letters[content.letter()]
	if !ok {
		return "", "", "", fmt.Errorf("there is no mail %q", content.letter())
	}
	v := &letterView{pages: p, texts: t, Letter: content}
	var line, body, page bytes.Buffer
	if err := templates.text.ExecuteTemplate(&line, "subject", v); err != nil {
		return "", "", "", fmt.Errorf("template %s: %w", letterFolder, err)
	}
	if err := templates.text.Execute(&body, v); err != nil {
		return "", "", "", fmt.Errorf("template %s: %w", letterFolder, err)
	}
	if err := templates.html.Execute(&page, v); err != nil {
		return "", "", "", fmt.Errorf("template %s: %w", letterFolder, err)
	}
	subject = strings.Join(strings.Fields(line.String()), " ")
	return subject, strings.TrimSpace(body.String()) + "\n", page.String(), nil
}

// LetterLanguage returns in which language a mail will be, as a BCP 47 tag.
func (p *Pages) LetterLanguage(language string) string {
	return p.catalogue.choose(language, "").tag.String()
}
