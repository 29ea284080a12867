package rig

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Visitor goes through the pages of a site as a browser without script does: it follows redirects,
// keeps cookies, and finds fields and buttons by the names that people are shown.
type Visitor struct {
	// Page is what is shown, nil after the visitor has been sent to another site.
	Page *html.Node
	// URL is the address of the page, or the one on another site to which the visitor was sent.
	URL *url.URL
	// Status is the status of the page.
	Status int

	t      testing.TB
	site   *url.URL
	client *http.Client
	typed  map[string]string
}

// NewVisitor makes a visitor of a site who has no cookies.
func NewVisitor(t testing.TB, site string) *Visitor {
	t.Helper()
	return NewVisitorBy(t, http.DefaultClient, site)
}

// NewVisitorBy is NewVisitor for a site that a client finds.
func NewVisitorBy(t testing.TB, by *http.Client, site string) *Visitor {
	t.Helper()
	at, err := url.Parse(site)
	if err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Visitor{t: t, site: at, client: &http.Client{
		Transport: by.Transport, Jar: jar,
		// Redirects are followed by hand, as those to clients lead to nobody.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Open goes to an address.
func (v *Visitor) Open(address string) {
	v.t.Helper()
	request, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	v.follow(request)
}

func (v *Visitor) follow(request *http.Request) {
	v.t.Helper()
	for range 10 {
		v.URL, v.Page, v.Status, v.typed = request.URL, nil, 0, map[string]string{}
		if request.URL.Host != v.site.Host {
			return
		}
		response, err := v.client.Do(request)
		if err != nil {
			v.t.Fatal(err)
		}
		v.Page, err = html.Parse(response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil {
			v.t.Fatal(err)
		}
		v.Status = response.StatusCode
		location := response.Header.Get("Location")
		if location == "" {
			return
		}
		// A 303 or 302 after a form is followed by GET; nothing else may come (AUTHZ-16).
		if v.Status != http.StatusSeeOther && v.Status != http.StatusFound {
			v.t.Fatalf("%s redirects with %d", request.URL, v.Status)
		}
		next, err := request.URL.Parse(location)
		if err != nil {
			v.t.Fatal(err)
		}
		if request, err = http.NewRequest(http.MethodGet, next.String(), nil); err != nil {
			v.t.Fatal(err)
		}
	}
	v.t.Fatalf("too many redirects, the last to %s", v.URL)
}

// Type fills in the field that is shown with a label.
func (v *Visitor) Type(label, text string) {
	v.t.Helper()
	field := v.find(func(n *html.Node) bool { return n.DataAtom == atom.Input && v.label(n) == label })
	if field == nil {
		v.t.Fatalf("no field %q on\n%s", label, v.Text())
	}
	v.typed[attribute(field, "name")] = text
}

// Follow follows a link by its name.
func (v *Visitor) Follow(name string) {
	v.t.Helper()
	link := v.find(func(n *html.Node) bool { return n.DataAtom == atom.A && text(n) == name })
	if link == nil {
		v.t.Fatalf("no link %q at %s on\n%s", name, v.URL, v.Text())
	}
	to, err := v.URL.Parse(attribute(link, "href"))
	if err != nil {
		v.t.Fatal(err)
	}
	v.Open(to.String())
}

// Press presses a button, which sends its form.
func (v *Visitor) Press(name string) {
	v.t.Helper()
	button := v.button(name)
	if button == nil {
		v.t.Fatalf("no button %q at %s on\n%s", name, v.URL, v.Text())
	}
	form := button
	for form != nil && form.DataAtom != atom.Form {
		form = form.Parent
	}
	if id := attribute(button, "form"); id != "" {
		form = v.find(func(n *html.Node) bool { return n.DataAtom == atom.Form && attribute(n, "id") == id })
	}
	if form == nil {
		v.t.Fatalf("the button %q has no form", name)
	}
	action, err := v.URL.Parse(attribute(form, "action"))
	if err != nil {
		v.t.Fatal(err)
	}
	values := v.values(form)
	if field := attribute(button, "name"); field != "" {
		values.Set(field, attribute(button, "value"))
	}
	if !strings.EqualFold(attribute(form, "method"), http.MethodPost) {
		action.RawQuery = values.Encode()
		v.Open(action.String())
		return
	}
	request, err := http.NewRequest(http.MethodPost, action.String(), strings.NewReader(values.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	// What every browser says of a form on the site itself.
	request.Header.Set("Origin", v.site.Scheme+"://"+v.site.Host)
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	v.follow(request)
}

func (v *Visitor) values(form *html.Node) url.Values {
	values := url.Values{}
	for n := range form.Descendants() {
		name := attribute(n, "name")
		if n.DataAtom != atom.Input || name == "" {
			continue
		}
		switch attribute(n, "type") {
		case "submit", "button", "image":
			continue
		case "checkbox", "radio":
			if !has(n, "checked") {
				continue
			}
		}
		value, typed := v.typed[name]
		if !typed {
			value = attribute(n, "value")
		}
		values.Add(name, value)
	}
	return values
}

func (v *Visitor) button(name string) *html.Node {
	return v.find(func(n *html.Node) bool {
		return n.DataAtom == atom.Button && (attribute(n, "aria-label") == name || text(n) == name) ||
			n.DataAtom == atom.Input && attribute(n, "type") == "submit" && attribute(n, "value") == name
	})
}

func (v *Visitor) find(match func(*html.Node) bool) *html.Node {
	if v.Page == nil {
		return nil
	}
	for n := range v.Page.Descendants() {
		if match(n) {
			return n
		}
	}
	return nil
}

// label returns the name of a field as people are shown it.
func (v *Visitor) label(field *html.Node) string {
	if name := attribute(field, "aria-label"); name != "" {
		return name
	}
	id := attribute(field, "id")
	label := v.find(func(n *html.Node) bool { return n.DataAtom == atom.Label && id != "" && attribute(n, "for") == id })
	for n := field.Parent; label == nil && n != nil; n = n.Parent {
		if n.DataAtom == atom.Label {
			label = n
		}
	}
	if label == nil {
		return ""
	}
	return text(label)
}

// Text is what the page says.
func (v *Visitor) Text() string {
	if v.Page == nil {
		return ""
	}
	return text(v.Page)
}

func text(n *html.Node) string {
	var words []string
	for n := range n.Descendants() {
		if n.Type == html.TextNode && n.Parent.DataAtom != atom.Style && n.Parent.DataAtom != atom.Script {
			words = append(words, strings.Fields(n.Data)...)
		}
	}
	return strings.Join(words, " ")
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

// SignIn fills in the page for signing in.
func (v *Visitor) SignIn(user, password string) {
	v.t.Helper()
	v.Type("Username", user)
	v.Type("Password", password)
	v.Press("Continue")
}

// Authorize takes a client's request through sign-in and consent, unless that is remembered, and gives
// the parameters with which the visitor is sent back to the client.
func (v *Visitor) Authorize(address, user, password string) url.Values {
	v.t.Helper()
	v.Open(address)
	v.SignIn(user, password)
	if v.Page != nil {
		v.Press("Continue")
	}
	values, err := v.Returned()
	if err != nil {
		v.t.Fatal(err)
	}
	return values
}

// Returned returns the parameters with which the visitor was sent to a client.
func (v *Visitor) Returned() (url.Values, error) {
	if v.Page != nil {
		return nil, fmt.Errorf("the visitor is still at %s, status %d:\n%s", v.URL, v.Status, v.Text())
	}
	if v.URL.Fragment != "" {
		return url.ParseQuery(v.URL.EscapedFragment())
	}
	return v.URL.Query(), nil
}
