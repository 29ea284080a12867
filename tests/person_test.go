package tests

import (
	"crypto/rand"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// people is a real browser in which each person has a browser of their own, without the cookies of the others.
type people struct {
	driven *driven
	h      *rig.Homeserver
	mail   *rig.Mail
}

// newPeople starts the browser. If SCREENSHOTS names a directory, each page that is looked at has its picture there.
func newPeople(t *testing.T, h *rig.Homeserver, mail *rig.Mail) *people {
	t.Helper()
	languages := filepath.Join(rig.Tests(), "..", "matrixauth", "internal", "page", "languages")
	d := drive(t, "the browser", rig.Node(t), rig.Script(t, "people_drive.mjs"), h.URL, languages, os.Getenv("SCREENSHOTS"))
	return &people{d, h, mail}
}

// person is somebody at a browser.
type person struct {
	t       *testing.T
	browser *driven
	id      string
	of      *people
	// judged has axe-core look at each page, as this person sees it; where no script runs, it cannot.
	judged bool
	// pictured has it look in every view, and takes a picture of each if there is an album. prefix is what their names
	// begin with.
	pictured bool
	prefix   string
	// language is that of the page that was shown last.
	language string
}

// eyes say how somebody uses a browser; the zero value is who reads English by day, with a mouse.
type eyes struct {
	// View is light, dark or narrow.
	View string `json:"view,omitempty"`
	// ColorScheme is that of the view unless it is set.
	ColorScheme string `json:"colorScheme,omitempty"`
	Locale      string `json:"locale,omitempty"`
	// NoScript is for browsers that run none.
	NoScript bool `json:"-"`
	Script   bool `json:"script"`
	// Keyboard is who has no mouse.
	Keyboard bool `json:"keyboard"`
}

// person gives somebody a browser for the length of a test.
func (all *people) person(t *testing.T, how eyes) *person {
	t.Helper()
	how.Script = !how.NoScript
	p := &person{t: t, browser: all.driven.in(t), id: rand.Text(), of: all}
	p.browser.do("arrive", p.id, how)
	t.Cleanup(func() { p.browser.try("leave", p.id) })
	return p
}

// shown is what a page shows.
type shown struct {
	URL, Heading, Alert, Status, Text, Language string
	// Fields, Buttons and Links are the names that are read out, and Values what stands in the fields by these names.
	Fields, Buttons, Links []string
	Values                 map[string]string
	// Complaints are those of the browser's console.
	Complaints []string
	// Code is the status of the answer, if something led here.
	Code int
}

func (s shown) has(field string) bool     { return slices.Contains(s.Fields, field) }
func (s shown) offers(button string) bool { return slices.Contains(s.Buttons, button) }

// pageOf names one of our pages by its address: "register-name" is /account/register/name.
func pageOf(t *testing.T, address string) string {
	t.Helper()
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.Trim(strings.TrimPrefix(at.Path, "/account"), "/"), "/", "-")
}

func (p *person) goes(name string, args ...any) shown {
	p.t.Helper()
	s := asked[shown](p.browser, name, append([]any{p.id}, args...)...)
	if len(s.Complaints) != 0 {
		p.t.Errorf("%s %v: the browser complains: %q", name, args, s.Complaints)
	}
	if strings.HasPrefix(s.URL, p.of.h.URL) {
		p.language = s.Language
	}
	if s.Code >= 500 {
		p.t.Fatalf("%s %v: status %d: %s", name, args, s.Code, s.Text)
	}
	return s
}

// opens goes to an address; a path is one of ours.
func (p *person) opens(address string) shown {
	p.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = p.of.h.URL + address
	}
	return p.goes("open", address)
}

func (p *person) reloads() shown { p.t.Helper(); return p.goes("reload") }
func (p *person) sees() shown    { p.t.Helper(); return p.goes("see") }

// begins comes from the client, which asks for a prompt.
func (p *person) begins(prompt string) shown { p.t.Helper(); return p.goes("begin", prompt) }

func (p *person) presses(button string) shown { p.t.Helper(); return p.goes("press", button) }
func (p *person) follows(link string) shown   { p.t.Helper(); return p.goes("follow", link) }

func (p *person) types(field, text string) { p.t.Helper(); p.browser.do("type", p.id, field, text) }
func (p *person) ticks(box string)         { p.t.Helper(); p.browser.do("tick", p.id, box) }

// looks has axe-core look at the page, under a name.
func (p *person) looks(name string) {
	p.t.Helper()
	if p.judged || p.pictured {
		p.browser.do("look", p.id, p.prefix+name, p.pictured)
	}
}

// signedIn waits for the client's first answers to its sync, and returns the user that it is.
func (p *person) signedIn() string { p.t.Helper(); return asked[string](p.browser, "signedIn", p.id) }

// stillIn reports whether the client of the browser still is signed in.
func (p *person) stillIn() bool { p.t.Helper(); return asked[bool](p.browser, "stillIn", p.id) }

// signsIn fills in the page for signing in.
func (p *person) signsIn(name, password string) shown {
	p.t.Helper()
	p.types("Username", name)
	p.types("Password", password)
	return p.presses("Continue")
}

var codes = regexp.MustCompile(`\b\d{6}\b`)

// codeIn returns the code of a mail, which both parts of it have and nothing else that looks like one.
func codeIn(t *testing.T, mail rig.Message) string {
	t.Helper()
	found := slices.Compact(slices.Sorted(slices.Values(codes.FindAllString(mail.Text, -1))))
	if len(found) != 1 || !strings.Contains(mail.HTML, found[0]) {
		t.Fatalf("the codes %q in\n%s\n%s", found, mail.Text, mail.HTML)
	}
	return found[0]
}

// linkIn returns the one link of a mail to a path of ours, which both parts of it have.
func linkIn(t *testing.T, mail rig.Message, base string) string {
	t.Helper()
	found := slices.Compact(slices.Sorted(slices.Values(regexp.MustCompile(regexp.QuoteMeta(base)+`/[^\s<>"]+`).FindAllString(mail.Text, -1))))
	if len(found) != 1 || !strings.Contains(strings.ReplaceAll(mail.HTML, "&amp;", "&"), found[0]) {
		t.Fatalf("the links %q in\n%s\n%s", found, mail.Text, mail.HTML)
	}
	return found[0]
}
