package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const (
	// deviceCookieName is what the device cookie is called, but for a prefix.
	deviceCookieName = browserCookieName + "_device"
	// deviceLife is how long a browser keeps it after the last sign-in.
	deviceLife = 90 * 24 * time.Hour
	// deviceSeparator stands between values.
	deviceSeparator = "."
)

// DeviceCookie is by what the limits of sign-ins know a browser again in which somebody signed in before
// (OWASP calls it a device cookie): a value for each account, the one that signed in last first. Signing out
// does not clear it, and signing in with another account adds to it.
//
// It is a place in the limits and nothing else. Nobody is signed in by it, and who steals it may guess at
// one rate more. It has the guarding name of the browser cookie, so that nobody can plant one (PW-12).
type DeviceCookie struct{ attributes }

// NewDeviceCookie makes the device cookie of an issuer.
func NewDeviceCookie(issuer *url.URL) *DeviceCookie {
	return &DeviceCookie{attributesOf(issuer, deviceCookieName)}
}

// Values returns the values of a browser, at most five of those that we can have made.
func (c *DeviceCookie) Values(r *http.Request) []string {
	var values []string
	for _, cookie := range r.CookiesNamed(c.name) {
		for value := range strings.SplitSeq(cookie.Value, deviceSeparator) {
			if len(values) == bound.BrowserAccounts {
				return values
			}
			if model.IsBrowserValue(value) && !slices.Contains(values, value) {
				values = append(values, value)
			}
		}
	}
	return values
}

// Put gives the browser the value of an account that has just signed in, beside those of others. Beyond
// five the one that signed in longest ago gives way.
func (c *DeviceCookie) Put(w http.ResponseWriter, r *http.Request, value string) {
	values := []string{value}
	for _, other := range c.Values(r) {
		if other != value && len(values) < bound.BrowserAccounts {
			values = append(values, other)
		}
	}
	c.write(w, strings.Join(values, deviceSeparator), deviceLife)
}
