package page

import (
	"html/template"
	"math"
	"net/url"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// view is what templates see: the page's own data under Page, and what all pages have.
type view struct {
	pages *Pages
	texts *texts
	token func() string
	// Page is the data of the page.
	Page Page
}

// T returns a text of the catalogue; pairs are the values for its places.
func (v *view) T(key string, pairs ...string) string { return v.texts.text(key, pairs...) }

// Rich returns a text of the catalogue whose values are set apart.
func (v *view) Rich(key string, pairs ...string) template.HTML { return v.texts.rich(key, pairs...) }

// Token returns the token that every form of ours needs. Pages without one set no cookie.
func (v *view) Token() string { return v.token() }

// Lang returns the language of the page, and Dir the direction of its writing.
func (v *view) Lang() string { return v.texts.tag.String() }

// Dir returns "ltr" or "rtl".
func (v *view) Dir() string { return v.texts.direction() }

// Name returns the name of the service.
func (v *view) Name() string { return v.pages.Name }

// Host returns the host of the service's address.
func (v *view) Host() string { return v.pages.host }

// Base returns the path below which our pages are.
func (v *view) Base() string { return v.pages.Issuer.Path }

// Style returns the address of the stylesheet.
func (v *view) Style() string { return v.pages.style }

// Logo returns the address of the operator's picture; empty if there is none.
func (v *view) Logo() string { return v.pages.logo }

// Icon returns the address of the picture for tabs.
func (v *view) Icon() string { return v.pages.icon }

// Initial returns the first letter of the service's name.
func (v *view) Initial() string { return initial(v.pages.Name) }

func initial(name string) string {
	letter, _ := utf8.DecodeRuneInString(name)
	return string(unicode.ToUpper(letter))
}

// Wide reports whether the page needs more room than a form does: whether it has the navigation.
func (v *view) Wide() bool {
	_, ok := v.Page.(sectionPage)
	return ok
}

// Action returns the address to which the page's form is sent.
func (v *view) Action() string {
	page, ok := v.Page.(formPage)
	if !ok {
		return ""
	}
	return v.Base() + page.action()
}

// Problem returns why a try to send the page's form failed.
func (v *view) Problem(code model.Code) string {
	if page, ok := v.Page.(formPage); ok && page.problems()[code] != "" {
		return v.T(page.problems()[code])
	}
	return v.T("error." + topic(code) + ".text")
}

// Title returns the heading of a page that tells an outcome.
func (v *view) Title() string { return v.T(v.outcome() + ".title") }

// Text returns the sentence below the title: what happened and what to do.
func (v *view) Text() string { return v.T(v.outcome() + ".text") }

func (v *view) outcome() string {
	if page, ok := v.Page.(outcomePage); ok {
		return page.outcome()
	}
	return ""
}

// Wait returns when another try makes sense; empty if nobody knows.
func (v *view) Wait() string {
	page, ok := v.Page.(retryPage)
	if !ok || page.retry() <= 0 {
		return ""
	}
	if page.retry() <= 90*time.Second {
		return v.texts.count("error.wait.seconds", int(math.Ceil(page.retry().Seconds())))
	}
	return v.texts.count("error.wait.minutes", int(math.Ceil(page.retry().Minutes())))
}

// Left returns for how long a reset is allowed. It rounds down, so that nobody is promised too much.
func (v *view) Left(r ResetAllowed) string {
	return v.texts.count("reset.left", max(1, int(r.Left/time.Minute)))
}

// Active returns how long ago a session was used. No clock time is shown: nobody told us the visitor's
// time zone.
func (v *view) Active(s Session) string {
	const day = 24 * time.Hour
	switch ago := v.pages.Now().Sub(s.LastActive); {
	case ago < 2*time.Minute:
		return v.T("account.active.now")
	case ago < time.Hour:
		return v.texts.count("account.active.minutes", int(ago/time.Minute))
	case ago < day:
		return v.texts.count("account.active.hours", int(ago/time.Hour))
	default:
		return v.texts.count("account.active.days", int(ago/day))
	}
}

// Since returns how long ago the sign-in of a session was.
func (v *view) Since(s Session) string {
	if days := v.daysSince(s.SignedIn); days > 0 {
		return v.texts.count("account.since.days", days)
	}
	return v.T("account.since.today")
}

// GrantedAt returns how long ago somebody consented to an app.
func (v *view) GrantedAt(g Granted) string {
	if days := v.daysSince(g.At); days > 0 {
		return v.texts.count("account.granted.days", days)
	}
	return v.T("account.granted.today")
}

func (v *view) daysSince(at time.Time) int { return int(v.pages.Now().Sub(at) / (24 * time.Hour)) }

// Lost returns how many sessions a page is about to sign out.
func (v *view) Lost(o EndOthers) string {
	if o.Apps {
		return v.LostApps(o.Number)
	}
	return v.texts.count("endothers.browsers.number", o.Number)
}

// LostApps returns that a number of apps will be signed out.
func (v *view) LostApps(number int) string { return v.texts.count("endothers.apps.number", number) }

// Link returns an address of an app for a link, although its scheme may be the app's own. Schemes that browsers
// open themselves are not let through.
func (v *view) Link(address string) template.URL {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" || model.IsBrowserScheme(u.Scheme) {
		return "#"
	}
	return template.URL(address) // its scheme was checked
}

// Submit returns the script of the page.
func (v *view) Submit() template.HTML {
	page, ok := v.Page.(scriptPage)
	if !ok {
		return ""
	}
	return template.HTML("<script>" + page.script() + "</script>") // a constant of ours
}
