package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// cookieLife is how long a browser keeps the cookie of a sign-in. The session behind it ends earlier
// if nobody uses it.
const cookieLife = 90 * 24 * time.Hour

// browserCookieName is what the cookie of the browser is called, but for a prefix.
const browserCookieName = "matrix_auth"

// ourCookies are the names of all cookies of our pages, but for a prefix. Each begins with that of the
// first.
var ourCookies = []string{browserCookieName, deviceCookieName}

// attributes are what browsers are told about a cookie of ours, beside its value.
type attributes struct {
	name, path string
	secure     bool
}

// attributesOf returns those of a cookie of an issuer. Its name has a prefix by which browsers keep others
// from planting it: __Host- if the issuer has the host to itself, __Secure- if it lives under a path.
// Over plain http, which only loopback may speak, it has neither that nor Secure (SESS-1).
func attributesOf(issuer *url.URL, name string) attributes {
	a := attributes{name: name, path: "/" + strings.TrimPrefix(issuer.Path, "/"), secure: issuer.Scheme == "https"}
	switch {
	case !a.secure:
	case a.path == "/":
		a.name = "__Host-" + name
	default:
		a.name = "__Secure-" + name
	}
	return a
}

// BrowserCookie is the cookie of our pages. Its value names the browser: before a sign-in it is
// only the key of form tokens, and from then on the browser session too. A sign-in sets a fresh one, so
// that a value which somebody planted is worth nothing afterwards (SESS-2).
type BrowserCookie struct {
	attributes
	// origin is the one from which our forms come.
	origin string
}

// NewBrowserCookie makes the cookie of an issuer.
func NewBrowserCookie(issuer *url.URL) *BrowserCookie {
	return &BrowserCookie{attributesOf(issuer, browserCookieName), originOf(issuer)}
}

// originOf returns an address's origin as browsers write it (RFC 6454 section 6.1).
func originOf(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if standard := map[string]string{"https": ":443", "http": ":80"}[u.Scheme]; standard != "" {
		host = strings.TrimSuffix(host, standard)
	}
	return u.Scheme + "://" + host
}

// Value returns the browser's value; empty if it has none that we can have made.
func (c *BrowserCookie) Value(r *http.Request) string {
	for _, cookie := range r.CookiesNamed(c.name) {
		if model.IsBrowserValue(cookie.Value) {
			return cookie.Value
		}
	}
	return ""
}

// Ensure returns the value that the browser will have once it has the answer: the one that is being set,
// or else the one it came with, or else a new one. A new one lives as long as the browser does.
func (c *BrowserCookie) Ensure(w http.ResponseWriter, r *http.Request) string {
	pending := w.Header()["Set-Cookie"]
	if i := slices.IndexFunc(pending, c.writes); i >= 0 {
		if cookie, err := http.ParseSetCookie(pending[i]); err == nil && cookie.Value != "" {
			return cookie.Value
		}
	} else if value := c.Value(r); value != "" {
		return value
	}
	value := model.NewBrowserValue()
	c.write(w, value, 0)
	return value
}

// Set gives the browser the value of a sign-in.
func (c *BrowserCookie) Set(w http.ResponseWriter, value string) { c.write(w, value, cookieLife) }

// Clear takes the value away.
func (c *BrowserCookie) Clear(w http.ResponseWriter) { c.write(w, "", -time.Second) }

// write sets the cookie in place of what the answer set of it before.
func (c attributes) write(w http.ResponseWriter, value string, life time.Duration) {
	h := w.Header()
	h["Set-Cookie"] = slices.DeleteFunc(h["Set-Cookie"], c.writes)
	http.SetCookie(w, &http.Cookie{
		Name: c.name, Value: value, Path: c.path, MaxAge: int(life.Seconds()),
		// Lax, so that the session is there when a client sends the browser to us (SESS-6).
		Secure: c.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// writes reports whether a Set-Cookie header sets this cookie.
func (c attributes) writes(line string) bool { return strings.HasPrefix(line, c.name+"=") }

// FormField is the name of the form token in forms.
const FormField = "csrf"

// FormToken returns the token of forms for a browser's value. It proves that the form was on a page of ours
// in that very browser: another site knows neither the value nor what follows from it (HTTP-3).
func FormToken(value string) string {
	return derive(value, "matrix-auth form token")
}

// derive returns what follows from a browser's value for a purpose. Nobody makes it without the value, and
// it tells nothing of the value.
func derive(value, purpose string) string {
	mac := hmac.New(sha256.New, []byte(value))
	mac.Write([]byte(purpose))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// ReadForm reads a form that must come from a page of ours, sign-in included: else somebody could have
// their account signed in behind another person's back (HTTP-3). It returns CrossOrigin
// for any other, and those of the function ReadForm.
func (c *BrowserCookie) ReadForm(w http.ResponseWriter, r *http.Request) (map[string]string, error) {
	if !c.SameOrigin(r) {
		return nil, crossOrigin()
	}
	form, err := ReadForm(w, r)
	if err != nil {
		return nil, err
	}
	value := c.Value(r)
	if value == "" || !hmac.Equal([]byte(form[FormField]), []byte(FormToken(value))) {
		return nil, crossOrigin()
	}
	return form, nil
}

func crossOrigin() error { return model.NewError(model.CrossOrigin) }

// SameOrigin reports whether the browser says that a form comes from our own pages, as http.CrossOriginProtection
// does. Browsers that do not know Sec-Fetch-Site say "Origin: null" on pages without referrer, which
// ours are: they and those that say nothing are left to the form token.
func (c *BrowserCookie) SameOrigin(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return true
	case "":
	default:
		return false
	}
	origin := r.Header.Get("Origin")
	return origin == "" || origin == "null" || origin == c.origin
}
