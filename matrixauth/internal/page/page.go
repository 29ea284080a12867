// Package page renders the pages that people see: templates, one stylesheet and texts in several
// languages. They need no script. Operators replace single templates, the stylesheet and texts by
// files in a folder. It decides nothing: a door says which page is shown, and what it shows.
package page

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

//go:embed templates/*.html style.css
var embedded embed.FS

// Config is what pages are made of.
type Config struct {
	// Issuer is our public address, with a slash at the end of its path.
	Issuer *url.URL
	// Cookie is the browser's cookie, from which the token of forms follows.
	Cookie *web.BrowserCookie
	// Name is the name of the service; empty for the issuer's host.
	Name string
	// Logo is the path of a picture; empty for a mark with the name's first letter.
	Logo string
	// Accent is the accent colour as rrggbb; empty for DefaultAccent.
	Accent string
	// Links are the operator's own pages.
	Links Links
	// PasswordLeast is the least number of characters of a new password.
	PasswordLeast int
	// Folder holds files of the operator that replace ours; empty for none.
	Folder string
	// Now is the clock by which pages say how long ago something was.
	Now func() time.Time
}

// Pages renders pages.
type Pages struct {
	Config
	host, style, logo, icon string

	catalogue *catalogue
	templates map[string]*template.Template
	letters   map[string]letterTemplates
	assets    []asset
}

// layout is the template around all others, and parts are those that several of them show.
const layout = "layout"

var parts = []string{"proof"}

// names are the templates that fill the layout: those of the samples, of which each has one at least.
var names = func() (all []string) {
	for _, sample := range Samples(time.Time{}) {
		all = append(all, sample.template())
	}
	slices.Sort(all)
	return slices.Compact(all)
}()

// New makes the pages of a configuration. Every template is tried with samples, so that a mistake in
// an operator's file is found here and not by a visitor.
func New(c Config) (*Pages, error) {
	if c.Name == "" {
		c.Name = c.Issuer.Hostname()
	}
	if c.Accent == "" {
		c.Accent = DefaultAccent
	}
	p := &Pages{Config: c, host: c.Issuer.Host, templates: map[string]*template.Template{}}
	var folder fs.FS
	if c.Folder != "" {
		if info, err := os.Stat(c.Folder); err != nil {
			return nil, err
		} else if !info.IsDir() {
			return nil, fmt.Errorf("%s is not a folder", c.Folder)
		}
		folder = os.DirFS(c.Folder)
		if err := checkFolder(folder); err != nil {
			return nil, err
		}
	}
	var err error
	if p.catalogue, err = newCatalogue(folder); err != nil {
		return nil, err
	}
	if err := p.makeAssets(folder); err != nil {
		return nil, err
	}
	for _, name := range names {
		if p.templates[name], err = parse(folder, name); err != nil {
			return nil, err
		}
	}
	if err := p.makeLetters(folder); err != nil {
		return nil, err
	}
	return p, p.executeSamples(folder)
}

// CheckFolder checks a folder of an operator: its files are read and tried.
func CheckFolder(folder string) error {
	issuer := &url.URL{Scheme: "https", Host: "example.com", Path: "/"}
	_, err := New(Config{Issuer: issuer, Cookie: web.NewBrowserCookie(issuer), Folder: folder, Now: time.Now})
	return err
}

// checkFolder finds files whose names promise something that we would not do.
func checkFolder(folder fs.FS) error {
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name, isTemplate := strings.CutSuffix(entry.Name(), ".html")
		if isTemplate && name != layout && !slices.Contains(parts, name) && !slices.Contains(names, name) {
			return fmt.Errorf("%s is not a template; there are %s.html, %s.html and %s.html", entry.Name(), layout, strings.Join(parts, ".html, "), strings.Join(names, ".html, "))
		}
		if strings.HasSuffix(entry.Name(), ".css") && entry.Name() != styleFile {
			return fmt.Errorf("%s is not used; the stylesheet is %s", entry.Name(), styleFile)
		}
	}
	return checkLetters(folder)
}

// parse reads the layout with the parts and one template in it.
func parse(folder fs.FS, name string) (*template.Template, error) {
	t := template.New(layout + ".html").Option("missingkey=error")
	for _, part := range slices.Concat([]string{layout}, parts, []string{name}) {
		text, err := read(folder, part+".html", "templates/"+part+".html")
		if err != nil {
			return nil, err
		}
		if part == layout {
			_, err = t.Parse(string(text))
		} else {
			_, err = t.New(name + ".html").Parse(string(text))
		}
		if err != nil {
			return nil, err
		}
	}
	return t, nil
}

// read returns the operator's file, or ours if there is none.
func read(folder fs.FS, theirs, own string) ([]byte, error) {
	if folder != nil {
		data, err := fs.ReadFile(folder, theirs)
		if !errors.Is(err, fs.ErrNotExist) {
			return data, err
		}
	}
	return embedded.ReadFile(own)
}

// tried returns the languages in which a template is tried, which is made of some files: all if one of them is the
// operator's, which may do something in one language alone, and the fallback for ours, which tests try in all.
func (p *Pages) tried(folder fs.FS, files ...string) []*texts {
	for _, file := range files {
		if folder == nil {
			break
		}
		if _, err := fs.Stat(folder, file); err == nil {
			return p.catalogue.languages
		}
	}
	return p.catalogue.languages[:1]
}

// executeSamples renders every sample in the languages that are tried.
func (p *Pages) executeSamples(folder fs.FS) error {
	for _, sample := range Samples(p.Now()) {
		for _, s := range p.tried(folder, layout+".html", sample.template()+".html") {
			v := &view{pages: p, texts: s, Page: sample, token: func() string { return "token" }}
			if err := p.templates[sample.template()].Execute(&bytes.Buffer{}, v); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Pages) textsFor(r *http.Request, uiLocales string) *texts {
	return p.catalogue.choose(uiLocales, strings.Join(r.Header.Values("Accept-Language"), ","))
}

// Language returns in which language a page will be, as a BCP 47 tag, when an app asked for uiLocales.
func (p *Pages) Language(r *http.Request, uiLocales string) string {
	return p.textsFor(r, uiLocales).tag.String()
}

// Render answers with a page. Nothing is written if it fails. The route's wire has set the headers
// that every page bears.
func (p *Pages) Render(w http.ResponseWriter, r *http.Request, status int, content Page) error {
	uiLocales := ""
	if known, ok := content.(localizedPage); ok {
		uiLocales = known.uiLocales()
	}
	v := &view{
		pages: p, Page: content, texts: p.textsFor(r, uiLocales),
		token: func() string { return web.FormToken(p.Cookie.Ensure(w, r)) },
	}
	var body bytes.Buffer
	if err := p.templates[content.template()].Execute(&body, v); err != nil {
		return fmt.Errorf("template %s: %w", content.template(), err)
	}
	h := w.Header()
	if page, ok := content.(scriptPage); ok {
		web.AllowScript(h, page.script())
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", v.Lang())
	h.Add("Vary", "Accept-Language")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	// The browser has gone if this fails, and there is nobody left to tell.
	_, _ = w.Write(body.Bytes())
	return nil
}

// Error answers with the page of an error. It says what its code means and nothing of what was asked
// for (HTTP-16).
func (p *Pages) Error(w http.ResponseWriter, r *http.Request, err error) {
	e := model.AsError(err)
	retry := web.SetRetryAfter(w.Header(), web.PageWire, e)
	account := e.Code == model.SessionNotFound || e.Code == model.NotRecognized || e.Code == model.CrossOrigin
	if p.Render(w, r, web.StatusOf(web.PageWire, e), Error{Code: e.Code, Retry: retry, Account: account}) != nil {
		// A template that worked when it was tried fails now. There are still words for machines.
		web.WriteError(w, web.PageWire, err)
	}
}
