package oauth

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// field is one parameter of an authorization response.
type field struct{ name, value string }

// failure is an error response (AUTHZ-12).
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
func (d *Door) complete(request model.AuthorizationRequest, fields []field) []field {
	if request.HasState {
		fields = append(fields, field{"state", request.State})
	}
	return append(fields, field{"iss", d.Issuer})
}

// respond sends the user back to the client with an authorization response.
func (d *Door) respond(w http.ResponseWriter, r *http.Request, request model.AuthorizationRequest, fields ...field) error {
	fields = d.complete(request, fields)
	if request.ResponseMode == model.ModeFormPost {
		form := page.FormPost{Action: request.RedirectURI}
		for _, f := range fields {
			form.Fields = append(form.Fields, page.Field{Name: f.name, Value: f.value})
		}
		return d.Pages.Render(w, r, http.StatusOK, form)
	}
	return seeOther(w, address(request, fields))
}

// address is where a response travels in the address: the registered URI to the letter, whatever its
// scheme, with the parameters behind it (AUTHZ-10, AUTHZ-28).
func address(request model.AuthorizationRequest, fields []field) string {
	pairs := make([]string, len(fields))
	for i, f := range fields {
		// "%20" is read alike by those who take "+" for a space and those who do not.
		pairs[i] = f.name + "=" + strings.ReplaceAll(url.QueryEscape(f.value), "+", "%20")
	}
	separator := "?"
	switch {
	case request.ResponseMode == model.ModeFragment:
		separator = "#"
	case strings.HasSuffix(request.RedirectURI, "?"):
		separator = ""
	case strings.Contains(request.RedirectURI, "?"):
		separator = "&"
	}
	return request.RedirectURI + separator + strings.Join(pairs, "&")
}

// offerReturn shows what is wrong, and a link that takes the error to the client.
func (d *Door) offerReturn(w http.ResponseWriter, r *http.Request, c model.Client, request model.AuthorizationRequest, err error) error {
	if request.ResponseMode == model.ModeFormPost {
		request.ResponseMode = model.ModeQuery // a link cannot post
	}
	code, _ := web.OAuthError(err)
	return d.Pages.Render(w, r, web.StatusOf(web.OAuthWire, err), page.Return{
		Client: c.Name(d.Pages.Language(r, request.UILocales)), Destination: destination(request.RedirectURI), URL: address(request, d.complete(request, failure(err))),
		Problem: model.AsError(err).Error(), Code: code, UILocales: request.UILocales,
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
