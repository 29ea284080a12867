package oauth

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// field is one parameter of an authorization response.
type field struct{ name, value string }

// failure returns an error response (AUTHZ-12).
func failure(err error) []field {
	code, text := web.OAuthError(err)
	return []field{{"error", code}, {"error_description", printable(text)}}
}

// printable keeps what an error_description may hold (RFC 6749 section 4.1.2.1).
func printable(text string) string {
	return strings.Map(func(c rune) rune {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return -1
		}
		return c
	}, text)
}

// complete adds what every response bears: the state as it came (AUTHZ-11), and who answers, so that a
// client of several servers cannot be led to mix them up (RFC 9207).
func (d *Door) complete(to model.Redirect, fields []field) []field {
	if to.HasState {
		fields = append(fields, field{"state", to.State})
	}
	return append(fields, field{"iss", d.Issuer})
}

// respond sends the user back to the client with an authorization response.
func (d *Door) respond(w http.ResponseWriter, r *http.Request, to model.Redirect, fields ...field) error {
	fields = d.complete(to, fields)
	if to.ResponseMode == model.ModeFormPost {
		form := page.FormPost{Action: to.RedirectURI}
		for _, f := range fields {
			form.Fields = append(form.Fields, page.Field{Name: f.name, Value: f.value})
		}
		return d.Pages.Render(w, r, http.StatusOK, form)
	}
	return seeOther(w, address(to, fields))
}

// address returns where a response travels in the address: the registered URI to the letter, whatever its
// scheme, with the parameters behind it (AUTHZ-10, AUTHZ-28).
func address(to model.Redirect, fields []field) string {
	pairs := make([]string, len(fields))
	for i, f := range fields {
		// "%20" is read alike by those who take "+" for a space and those who do not.
		pairs[i] = f.name + "=" + strings.ReplaceAll(url.QueryEscape(f.value), "+", "%20")
	}
	separator := "?"
	switch {
	case to.ResponseMode == model.ModeFragment:
		separator = "#"
	case strings.HasSuffix(to.RedirectURI, "?"):
		separator = ""
	case strings.Contains(to.RedirectURI, "?"):
		separator = "&"
	}
	return to.RedirectURI + separator + strings.Join(pairs, "&")
}

// redirect sends the user back to the client with what came of a request.
func (d *Door) redirect(w http.ResponseWriter, r *http.Request, o grant.Outcome) error {
	to := o.Delivery.Redirect
	if !o.Approved {
		return d.respond(w, r, to, failure(model.Errorf(model.AccessDenied, "the user declined"))...)
	}
	return d.respond(w, r, to, field{"code", o.Code})
}

func (d *Door) refuseByRedirect(w http.ResponseWriter, r *http.Request, p grant.Pending, err error) error {
	return d.offerReturn(w, r, p.Client, p.Delivery.Redirect, p.Asked.UILocales, err)
}

// offerReturn shows what is wrong, and a link that takes the error to the client. uiLocales are the languages that
// the client asked for.
func (d *Door) offerReturn(w http.ResponseWriter, r *http.Request, c model.Client, to model.Redirect, uiLocales string, err error) error {
	if to.ResponseMode == model.ModeFormPost {
		to.ResponseMode = model.ModeQuery // a link cannot post
	}
	code, _ := web.OAuthError(err)
	return d.Pages.Render(w, r, web.StatusOf(web.OAuthWire, err), page.Return{
		Client: c.Name(d.Pages.Language(r, uiLocales)), Destination: destination(to.RedirectURI), URL: address(to, d.complete(to, failure(err))),
		Problem: model.AsError(err).Error(), Code: code, UILocales: uiLocales,
	})
}

// destination names where a redirect leads, as people can judge it: the host, or the scheme of an app.
func destination(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	if err != nil {
		return ""
	}
	if u.Scheme == "http" || u.Scheme == "https" {
		return u.Host
	}
	return u.Scheme + ":"
}
