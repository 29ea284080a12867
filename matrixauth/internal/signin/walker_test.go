package signin_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
)

// walker is a person at a browser with several tabs, who goes any way that pages offer, and back; beside them a model
// that knows what they said yes to. It holds, at each step:
//
//   - a code is for the account that said yes on a page which named it, or that did so before for the same app;
//   - prompt=login and max_age want a password that was given after the request began, or max_age before;
//   - who declined gives no code; and a code that comes again is the same;
//   - whatever leads on ends at a page or at the client after a few redirects;
//   - no page is without a way on, and every request that waits can be brought to its code.
type walker struct {
	*house.Browser
	t    *testing.T
	tabs []*tab
	// asked are the requests by their state parameter.
	asked map[string]*asked
	// current is who is signed in, as far as the model knows; who is empty for nobody.
	current login
	// granted are the accounts that consented to a client, "alice app".
	granted map[string]bool
	steps   []string
}

type login struct {
	who string
	at  time.Time
}

// asked is a request of a client, as the model knows it.
type asked struct {
	client, prompt string
	maxAge         time.Duration
	began          time.Time
	// id is that of the row, once it is known; code and account what was given first.
	id, code, account string
	declined          bool
}

// tab is a history of screens.
type tab struct {
	screens []screen
	at      int
	// goal is the address that the person opened the tab for, and state that of the request in it.
	goal, state string
}

// screen is what a tab shows: a page of ours, or the client with an answer.
type screen struct {
	address string
	house.Answer
	// client reports whether it is the client's, sent whether it answers a form that led nowhere.
	client, sent bool
}

func (b *tab) show() screen { return b.screens[b.at] }

func (b *tab) push(s screen) {
	b.screens = append(b.screens[:b.at+1], s)
	b.at++
}

func newWalker(t *testing.T, h *house.House) *walker {
	return &walker{Browser: h.Browser(), t: t, asked: map[string]*asked{}, granted: map[string]bool{}}
}

func (w *walker) note(format string, args ...any) {
	w.steps = append(w.steps, fmt.Sprintf(format, args...))
}

func (w *walker) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\n%s", strings.Join(w.steps, "\n"), fmt.Sprintf(format, args...))
}

// open opens the link of a client in a new tab.
func (w *walker) open(client string, changes ...string) *tab {
	w.t.Helper()
	state := fmt.Sprintf("request %d", len(w.asked))
	values := house.Params(client, append([]string{"state", state, "scope", house.DeviceScope(fmt.Sprintf("DEVICE%d", len(w.asked)))}, changes...)...)
	r := &asked{client: client, prompt: values.Get("prompt"), maxAge: -1, began: w.House.Clock.Now()}
	if age := values.Get("max_age"); age != "" {
		var err error
		r.maxAge, err = time.ParseDuration(age + "s")
		w.House.Must(err)
	}
	w.asked[state] = r
	b := &tab{goal: house.AuthorizePath + "?" + values.Encode(), state: state, at: -1}
	w.tabs = append(w.tabs, b)
	w.note("tab %d: %s asks, %v, at %v", len(w.tabs)-1, client, changes, w.House.Clock.Now().Sub(testkit.Start))
	w.navigate(b, http.MethodGet, b.goal, "", nil)
	if id := requestIn(b.show().address); id != "" {
		r.id = id
	}
	return b
}

// openAccount opens a page of the account in a new tab.
func (w *walker) openAccount(address string) {
	w.t.Helper()
	b := &tab{goal: address, at: -1}
	w.tabs = append(w.tabs, b)
	w.note("tab %d: %s", len(w.tabs)-1, address)
	w.navigate(b, http.MethodGet, address, "", nil)
}

func requestIn(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Query().Get("request")
}

// navigate goes to an address of ours and on to where it leads. from is the screen whose form is sent, if it is one.
func (w *walker) navigate(b *tab, method, address, body string, from *screen) {
	w.t.Helper()
	b.push(w.going(method, address, body, from))
}

func (w *walker) going(method, address, body string, from *screen) screen {
	w.t.Helper()
	header := http.Header{}
	if method == http.MethodPost {
		header = house.SameOriginForm()
	}
	for hop := 0; ; hop++ {
		a := w.Ask(method, address, body, header)
		to := a.Header.Get("Location")
		if a.Status != http.StatusSeeOther {
			w.note("  %s: %d %s", address, a.Status, a.Heading())
			w.wantWayOn(address, a)
			return screen{address: address, Answer: a}
		}
		if strings.HasPrefix(to, house.WebCallback) {
			w.arrived(w.responseOf(to), from)
			return screen{address: to, Answer: a, client: true}
		}
		if hop == 3 {
			w.fail("a circle: %s leads to %s", address, to)
		}
		w.note("  %s leads to %s", address, to)
		method, address, body, header = http.MethodGet, to, "", nil
	}
}

func (w *walker) responseOf(to string) url.Values {
	_, text, _ := strings.Cut(to, "?")
	values, err := url.ParseQuery(text)
	w.House.Must(err)
	return values
}

// wantWayOn holds that a page has a way on, or says what there is to do.
func (w *walker) wantWayOn(address string, a house.Answer) {
	w.t.Helper()
	if a.Status >= http.StatusInternalServerError {
		w.fail("%s: %d %s", address, a.Status, house.Shown(a))
	}
	if len(formsOf(a.Body))+len(linksIn.FindAllString(a.Body, -1)) > 0 {
		return
	}
	switch a.Heading() {
	// These send people back to their app, which nobody else can open for them.
	case "This sign-in is over", "You are signed out", "You are signed in":
	default:
		w.fail("%s has no way on: %d %s", address, a.Status, house.Shown(a))
	}
}

// arrived judges what a client was told.
func (w *walker) arrived(response url.Values, from *screen) {
	w.t.Helper()
	r := w.asked[response.Get("state")]
	if r == nil {
		w.fail("an answer to nothing: %v", response)
	}
	w.note("  %s is told %v", r.client, response)
	code := response.Get("code")
	if code == "" {
		if r.prompt != "none" && response.Get("error") == "access_denied" {
			r.declined = true
			if r.account != "" {
				delete(w.granted, r.account+" "+r.client)
			}
		}
		return
	}
	w.House.Secret(code)
	if r.declined {
		w.fail("a code for a request that was declined")
	}
	if r.code != "" {
		if code != r.code {
			w.fail("another code for the same request")
		}
		if w.current.who != r.account {
			w.fail("the code of %s again, while %q is signed in", r.account, w.current.who)
		}
		return // the rest was judged when it was given first
	}
	r.code, r.account = code, w.accountOf(code)
	if from != nil && from.asksConsent() {
		if named := attribute(asWhom, house.Shown(from.Answer)); named != r.account {
			w.fail("the page named %s, and the code is for %s", named, r.account)
		}
		w.granted[r.account+" "+r.client] = true
	} else if !w.granted[r.account+" "+r.client] {
		w.fail("a code for %s, who never said yes to %s", r.account, r.client)
	}
	if w.current.who != r.account {
		w.fail("a code for %s while %q is signed in", r.account, w.current.who)
	}
	fresh := w.current.at.After(r.began)
	if r.prompt == "login" && !fresh {
		w.fail("prompt=login, and the password was given at %v", w.current.at.Sub(testkit.Start))
	}
	if age := w.House.Clock.Now().Sub(w.current.at); r.maxAge >= 0 && !fresh && age > r.maxAge {
		w.fail("max_age is %v, and the password was given %v ago", r.maxAge, age)
	}
}

// asksConsent reports whether a screen asks whether an app may have what it asks for.
func (s *screen) asksConsent() bool { return strings.HasPrefix(s.Heading(), "Continue to ") }

// accountOf is the account that a code was given for.
func (w *walker) accountOf(code string) (localpart string) {
	w.t.Helper()
	w.House.View(func(tx *store.Tx) error {
		a, err := tx.AuthorizationByCode(model.HashToken(code))
		if err != nil {
			return err
		}
		u, err := tx.User(a.UserID)
		localpart = u.Localpart
		return err
	})
	return localpart
}

// submit sends a form of a screen, which may be an old one, as somebody.
func (w *walker) submit(b *tab, f pageForm, pressed url.Values, who, password string, times int) {
	w.t.Helper()
	fields := maps.Clone(f.fields)
	maps.Copy(fields, pressed)
	if fields.Has("username") {
		fields.Set("username", who)
	}
	if fields.Has("password") {
		fields.Set("password", password)
	}
	from := b.show()
	w.note("tab %d: %s %v at %v, %d times", slices.Index(w.tabs, b), f.action, fields, w.House.Clock.Now().Sub(testkit.Start), times)
	before := maps.Clone(w.Cookies)
	var last screen
	for n := range times {
		if n > 0 {
			// A double click: the browser sends the form again before it has the first answer.
			w.Cookies = maps.Clone(before)
		}
		value := w.Cookies["__Host-matrix_auth"]
		last = w.sent(f, fields, &from)
		if now := w.Cookies["__Host-matrix_auth"]; now != value {
			w.current = login{}
			if strings.HasPrefix(f.action, "/account/login") && now != "" {
				w.current = login{who, w.House.Clock.Now()}
			}
		}
	}
	b.push(last)
}

// sent sends a form, and follows only after the model knows who is signed in by it.
func (w *walker) sent(f pageForm, fields url.Values, from *screen) screen {
	w.t.Helper()
	value := w.Cookies["__Host-matrix_auth"]
	a := w.Ask(http.MethodPost, f.action, fields.Encode(), house.SameOriginForm())
	to := a.Header.Get("Location")
	switch {
	case a.Status != http.StatusSeeOther:
		w.note("  %d %s", a.Status, a.Heading())
		w.wantWayOn(f.action, a)
		return screen{address: f.action, Answer: a, sent: true}
	case strings.HasPrefix(to, house.WebCallback):
		w.arrived(w.responseOf(to), from)
		return screen{address: to, Answer: a, client: true}
	}
	if now := w.Cookies["__Host-matrix_auth"]; now != value && now != "" && strings.HasPrefix(f.action, "/account/login") {
		w.current = login{fields.Get("username"), w.House.Clock.Now()}
	}
	if strings.HasPrefix(f.action, "/account/logout") && w.Cookies["__Host-matrix_auth"] != value {
		w.current = login{}
	}
	w.note("  leads to %s", to)
	return w.going(http.MethodGet, to, "", nil)
}

// reload asks for the address of a tab's screen again.
func (w *walker) reload(b *tab) {
	w.t.Helper()
	switch s := b.show(); {
	case s.sent: // browsers ask whether to send it again; the answer is no
		w.back(b)
	case !s.client:
		w.note("tab %d: reload", slices.Index(w.tabs, b))
		w.navigate(b, http.MethodGet, s.address, "", nil)
	}
}

// back shows the screen before, as it was.
func (w *walker) back(b *tab) {
	if b.at > 0 {
		b.at--
		w.note("tab %d: back to %s", slices.Index(w.tabs, b), b.show().Heading())
	}
}

// waits reports whether a request waits for its user.
func (w *walker) waits(r *asked) bool {
	if r == nil || r.id == "" || r.code != "" || r.declined {
		return false
	}
	waits := false
	w.House.View(func(tx *store.Tx) error {
		a, err := tx.Authorization(r.id)
		waits = err == nil && w.House.Clock.Now().Before(a.ExpiresAt)
		return nil
	})
	return waits
}

// finish goes from the screen of a tab to its code by what anybody would do: sign in, and go on.
func (w *walker) finish(b *tab, who string) {
	w.t.Helper()
	r := w.asked[b.state]
	if !w.waits(r) {
		return
	}
	w.note("tab %d: %s finishes", slices.Index(w.tabs, b), who)
	if b.show().client { // they come back from an answer to another request
		w.navigate(b, http.MethodGet, house.ConsentPath+house.Query("request", r.id), "", nil)
	}
	for range 6 {
		if r.code != "" {
			return
		}
		forms := formsOf(b.show().Body)
		if len(forms) == 0 {
			w.navigate(b, http.MethodGet, house.ConsentPath+house.Query("request", r.id), "", nil)
			continue
		}
		f := forms[0]
		if strings.HasPrefix(b.show().Heading(), "This account is locked") {
			f = forms[len(forms)-1] // not you
		}
		w.House.Clock.Move(time.Second)
		w.submit(b, f, f.buttons[0], who, house.AlicesPassword, 1)
	}
	if r.code == "" {
		w.fail("no way from here to a code: %s", house.Shown(b.show().Answer))
	}
}
