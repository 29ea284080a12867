package matrixauth_test

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// The bad input of the OAuth API and of pages.

func oauthCode(code, said string) string {
	return fmt.Sprintf(`{"error":%q,"error_description":%q}`, code, said)
}

func postForm(name, body string, status int, want string) badBody {
	return badBody{name: name, method: http.MethodPost, header: house.FormType, body: body, status: status, want: want}
}

// notForms are the bodies that no endpoint of forms can use.
func notForms() []badBody {
	kind := func(name, kind, body string) badBody {
		c := postForm("content type "+name, body, 400, oauthError("the body must be application/x-www-form-urlencoded"))
		c.header = http.Header{"Content-Type": {kind}}
		return c
	}
	none := kind("missing", "", "token=x&grant_type=x")
	none.header = nil
	return []badBody{
		none,
		kind("JSON", "application/json", `{"token":"x"}`),
		kind("multipart", "multipart/form-data; boundary=x", "token=x"),
		kind("broken", ";;", "token=x"),
		kind("that only begins right", "application/x-www-form-urlencodedx", "token=x"),
		postForm("not a form", "token=%zz", 400, oauthError("the form cannot be read")),
		postForm("semicolons", "token=a;b", 400, oauthError("the form cannot be read")),
		postForm("a parameter repeated", "x=a&x=b", 400, oauthError("a parameter is repeated")),
		postForm("a parameter repeated under escapes", "token=a&%74oken=a", 400, oauthError("a parameter is repeated")),
		postForm("1 MiB", house.Form("token", strings.Repeat("m", megabyte)), 413, oauthError("the request is too large")),
	}
}

func tokenCases() []badBody {
	badCode := oauthCode("invalid_grant", "the code is invalid, has expired or was used")
	badRefresh := oauthCode("invalid_grant", "invalid refresh token")
	badClient := oauthCode("invalid_client", "the caller could not be authenticated")
	exchange := func(code string) string {
		return house.Form("grant_type", "authorization_code", "client_id", "app", "redirect_uri", house.WebCallback, "code_verifier", house.Verifier, "code", code)
	}
	refresh := func(client, token string) string {
		return house.Form("grant_type", "refresh_token", "client_id", client, "refresh_token", token)
	}
	cases := append(notForms(),
		postForm("empty", "", 400, oauthError("grant_type is missing")),
		postForm("JSON as a form", `{"grant_type":"refresh_token"}`, 400, oauthError("grant_type is missing")),
		postForm("many parameters", "grant_type=x"+manyParameters(), 400, oauthCode("unsupported_grant_type", "this grant type is not supported")),
		badBody{name: "all in the query", method: "POST", query: "?" + exchange("x"), header: house.FormType, status: 400, want: oauthError("grant_type is missing")},
		postForm("an empty client", refresh("", "x"), 400, oauthError("client_id is missing")),
		postForm("an empty code", exchange(""), 400, oauthError("code is missing")),
		postForm("an empty refresh token", refresh("app", ""), 400, oauthError("refresh_token is missing")),
	)
	for name, value := range hostile() {
		cases = append(cases,
			postForm("code "+name, exchange(value), 400, badCode),
			postForm("refresh token "+name, refresh("app", value), 400, badRefresh),
			postForm("client "+name, refresh(value, "x"), 401, badClient),
			postForm("grant type "+name, house.Form("grant_type", value), 400, oauthCode("unsupported_grant_type", "this grant type is not supported")),
			postForm("secret "+name, refresh("app", "x")+"&"+house.Form("client_secret", value), 401, badClient),
		)
	}
	return cases
}

// hostile are values that no parameter honestly has.
func hostile() map[string]string {
	return map[string]string{
		"with NUL": "x\x00", "with line breaks": "x\r\nX-Evil: 1", "of broken UTF-8": "\xff\xfe", "oversized": strings.Repeat("m", 15_000), "of SQL": "' OR '1'='1", "a wildcard": "%",
		"markup": "<script>", "deeply nested": strings.Repeat("[", 5000),
	}
}

func revokeCases() []badBody {
	cases := append(notForms(),
		postForm("empty", "", 400, oauthError("token is missing")),
		badBody{name: "token in the query", method: "POST", query: "?token=x", header: house.FormType, status: 400, want: oauthError("token is missing")},
	)
	for name, value := range hostile() {
		cases = append(cases,
			postForm("token "+name, house.Form("token", value), 200, "{}"),
			postForm("hint "+name, house.Form("token", "x", "token_type_hint", value), 200, "{}"),
			postForm("client "+name, house.Form("token", "x", "client_id", value), 200, "{}"),
			postForm("secret "+name, house.Form("token", "x", "client_id", "app", "client_secret", value), 401, oauthCode("invalid_client", "the caller could not be authenticated")),
		)
	}
	return cases
}

func registrationCases() (cases []badBody) {
	for _, c := range notObjects() { // REG-18
		if c.want = oauthCode("invalid_client_metadata", "the body must be a JSON object"); c.status == 413 {
			c.want = oauthError("the request is too large")
		}
		cases = append(cases, c)
	}
	post := func(name string, body any, code, said string) {
		cases = append(cases, badBody{name: name, method: "POST", body: house.JSON(body), status: 400, want: oauthCode(code, said)})
	}
	post("nothing", house.Object{}, "invalid_client_metadata", "client_uri is missing")
	for name, value := range hostile() {
		code, said := "invalid_redirect_uri", "redirect_uris[0] must be written in ASCII without spaces, its host in xn-- form"
		if name == "oversized" || name == "deeply nested" {
			said = "redirect_uris must not have a value of more than 2048 bytes"
		}
		post("redirect "+name, house.Object{"client_uri": "https://example.com", "redirect_uris": []string{"https://example.com/" + "%" + value}}, code, said)
		post("type "+name, house.Object{"client_uri": "https://example.com", "application_type": "x" + value[:min(len(value), 100)]}, "invalid_client_metadata", "application_type must be web or native")
	}
	return cases
}

func authorizeCases() []badBody {
	const client, redirect, request = "This app is not known", "This app cannot be trusted", "This request cannot be answered"
	get := func(name, query string, status int, want string) badBody {
		return badBody{name: name, method: "GET", query: "?" + query, status: status, want: want}
	}
	cases := append(pageForms(),
		get("nothing", "", 400, request),
		get("a query that cannot be read", "%zz&&=;", 400, request),
		get("a repeated parameter", "a=1&a=2", 400, request),
		get("an oversized query", "a="+strings.Repeat("a", 20_000), 413, request),
		postForm("nothing by POST", "", 400, request),
		postForm("a repeated parameter by POST", "a=1&a=2", 400, request),
		badBody{name: "all in the query of a POST", method: "POST", query: "?" + house.Params("app").Encode(), header: house.FormType, status: 400, want: request},
	)
	for name, value := range hostile() {
		cases = append(cases,
			get("client "+name, house.Params(value).Encode(), 400, client),
			get("redirect "+name, house.Params("app", "redirect_uri", value).Encode(), 400, redirect),
			get("redirect, and then "+name, house.Params("app", "redirect_uri", house.WebCallback+value).Encode(), 400, redirect),
			get("scope "+name, house.Params("app", "scope", value).Encode(), 400, request),
			get("response type "+name, house.Params("app", "response_type", value).Encode(), 400, request),
			get("response mode "+name, house.Params("app", "response_mode", value).Encode(), 400, request),
			get("challenge "+name, house.Params("app", "code_challenge", value).Encode(), 400, request),
			get("max_age "+name, house.Params("app", "max_age", value).Encode(), 400, request),
			get("request object "+name, house.Params("app", "request", value).Encode(), 400, request),
		)
	}
	return cases
}

// pageForms are the bodies that no page can use.
func pageForms() []badBody {
	var cases []badBody
	for _, c := range notForms() {
		if c.want = "This request cannot be answered"; strings.HasPrefix(c.name, "content type") {
			c.status = http.StatusUnsupportedMediaType
		}
		cases = append(cases, c)
	}
	return cases
}

// pageCases: pages for somebody who is not signed in. What a form without its cookie gets is the same for
// whatever it holds.
func pageCases(name string) (cases []badBody) {
	get := func(title, query string, status int, want string) {
		cases = append(cases, badBody{name: title, method: "GET", query: query, status: status, want: want})
	}
	for title, value := range hostile() {
		q := house.Query("request", value, "action", value, "device_id", value)
		short := len(value) <= 64
		switch name {
		case "signed_out":
			get("query "+title, q, 200, "You are signed out")
		case "account":
			// The path without its slash leads to the other first.
			continue
		case "sign_in":
			if short {
				get("query "+title, q, 400, "This sign-in is over")
			} else {
				get("query "+title, q, 200, "Sign in")
			}
		case "consent":
			if short && title != "of broken UTF-8" {
				get("query "+title, q, 400, "This sign-in is over")
			}
		}
	}
	if name == "signed_out" || name == "account" {
		return cases
	}
	cases = append(cases, pageForms()...)
	refused := func(title, body string) {
		c := postForm(title, body, 403, "Please try again")
		if name == "sign_in" {
			c.status, c.want = 303, "/account/login?stale=1"
		}
		cases = append(cases, c)
	}
	refused("nothing", "")
	refused("a token without a cookie", house.Form("csrf", model.NewBrowserValue(), "request", "x", "answer", "continue"))
	for title, value := range hostile() {
		refused("token "+title, house.Form("csrf", value, "username", value, "password", value, "session", value))
	}
	return cases
}
