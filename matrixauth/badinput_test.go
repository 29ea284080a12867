package matrixauth_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// TestBadInput gives every endpoint, under every alias, what no honest client sends. Each case has its
// documented answer; none panics, hangs, tells a cause, or changes a row.
func TestBadInput(t *testing.T) {
	h := house.New(t, house.Unlimited, house.Registrations(matrixauth.Rate{Burst: 1000, PerMinute: 1000}))
	h.Add("alice")
	h.Register("app", "")
	h.Login("alice", house.Object{"device_id": "LAPTOP", "refresh_token": true})
	before := h.Rows()
	for _, e := range house.Endpoints {
		t.Run(e.Name, func(t *testing.T) {
			for _, path := range e.Paths {
				methodCases(t, h, e, path)
				for _, c := range bodyCases(e) {
					name := c.name
					if len(e.Paths) > 1 {
						name += " " + path
					}
					t.Run(name, func(t *testing.T) { c.run(t, h, e, path) })
				}
			}
		})
	}
	if after := h.Rows(); after != before {
		t.Errorf("bad input changed rows:\n%s\nwant\n%s", after, before)
	}
	if passed := h.Passed.Load(); passed != 0 {
		t.Errorf("%d requests to our paths went on to the homeserver", passed)
	}
}

// methodCases: a method that a path does not know is refused with the list of those that it knows
// (LEG-4); OPTIONS is answered without a look at anything (LEG-5).
func methodCases(t *testing.T, h *house.House, e house.Endpoint, path string) {
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"} {
		if slices.Contains(e.Methods, method) {
			continue
		}
		t.Run(method+" "+path, func(t *testing.T) {
			a := h.Do(house.Call{Method: method, Path: path, Inside: e.Inside, Body: "\x00{"})
			house.WantWire(t, e.Wire, a)
			if method == http.MethodOptions && e.Wire.Open() {
				if a.Status != http.StatusNoContent || a.Body != "" {
					t.Fatalf("got %d %q, want an empty 204", a.Status, a.Body)
				}
				return
			}
			if a.Status != http.StatusMethodNotAllowed || a.Header.Get("Allow") != e.Allow {
				t.Fatalf("got %d, Allow %q, want 405 and %q", a.Status, a.Header.Get("Allow"), e.Allow)
			}
			if e.Wire == web.PageWire {
				if method != http.MethodHead && a.Heading() != "This address cannot be opened so" {
					t.Errorf("got %s", a.Body)
				}
				return
			}
			want := `{"error":"invalid_request","error_description":"method not allowed"}`
			if e.Wire == web.MatrixWire {
				want = `{"errcode":"M_UNRECOGNIZED","error":"Method not allowed"}`
			}
			if method == http.MethodHead {
				want = ""
			}
			if a.Body != want {
				t.Errorf("got %s, want %s", a.Body, want)
			}
		})
	}
}

// badBody is one bad request with its answer.
type badBody struct {
	name   string
	method string
	query  string
	body   string
	header http.Header
	status int
	// want is the whole body of the answer; of a page it is the heading, of a redirect where it leads.
	want string
}

func (c badBody) run(t *testing.T, h *house.House, e house.Endpoint, path string) {
	if e.Name == "health" {
		c.want = h.Healthy(0, 0)
	}
	a := h.Do(house.Call{Method: c.method, Path: path + c.query, Inside: e.Inside, Body: c.body, Header: c.header})
	if !isMetadata(e) {
		house.WantWire(t, e.Wire, a)
	}
	got := a.Body
	if e.Wire == web.PageWire {
		got = a.Heading() + a.Header.Get("Location")
	}
	if a.Status != c.status || got != c.want {
		t.Errorf("got %d %s\nwant %d %s", a.Status, got, c.status, c.want)
	}
	if got := a.Header.Get("X-Evil"); got != "" {
		t.Errorf("a header was injected: %q", got)
	}
}

func bodyCases(e house.Endpoint) []badBody {
	switch e.Name {
	case "login":
		return loginCases()
	case "logout", "logout_all":
		return logoutCases()
	case "account_password", "account_deactivate", "delete_devices":
		return unknownCases() // tokens that cannot be ours are the homeserver's to judge
	case "refresh":
		return refreshCases()
	case "introspect_public", "introspect_internal":
		return introspectCases()
	case "token":
		return tokenCases()
	case "revoke":
		return revokeCases()
	case "registration":
		return registrationCases()
	case "authorize":
		return authorizeCases()
	case "consent", "sign_in", "sign_out", "end_session", "account", "signed_out":
		return pageCases(e.Name)
	}
	return idleCases(e)
}

const (
	megabyte  = 1 << 20
	nesting   = 20_000
	shallow   = 5_000
	notJSON   = `{"errcode":"M_NOT_JSON","error":"The request body is not JSON"}`
	notObject = `{"errcode":"M_BAD_JSON","error":"The request body must be a JSON object"}`
	tooLarge  = `{"errcode":"M_TOO_LARGE","error":"The request is too large"}`
	noToken   = `{"errcode":"M_MISSING_TOKEN","error":"Missing access token"}`
)

func matrix(errcode, text string) string {
	return fmt.Sprintf(`{"errcode":%q,"error":%q}`, errcode, text)
}

// notObjects are the bodies that no JSON endpoint can use (LEG-8).
func notObjects() []badBody {
	post := func(name, body string, status int, want string) badBody {
		return badBody{name: name, method: "POST", body: body, status: status, want: want}
	}
	return []badBody{
		post("empty", "", 400, notJSON),
		post("not JSON", "hello", 400, notJSON),
		post("a form", house.Form("type", "m.login.password"), 400, notJSON),
		post("cut off", `{"type":"m.login.pass`, 400, notJSON),
		post("two documents", `{} {}`, 400, notJSON),
		post("broken UTF-8", "{\"type\":\"m.login.password\xff\"}", 400, notJSON),
		post("UTF-16", "\xff\xfe{\x00}\x00", 400, notJSON),
		post("a NUL byte", "{\"type\":\"m.login\x00\"}", 400, notJSON),
		post("gzip", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3\x02\x00\x00\x00", 400, notJSON),
		post("an array", `[]`, 400, notObject),
		post("a string", `"type"`, 400, notObject),
		post("a number", `1e999`, 400, notObject),
		post("null", `null`, 400, notObject),
		post("true", `true`, 400, notObject),
		post("deep nesting", strings.Repeat("[", nesting)+strings.Repeat("]", nesting), 400, notJSON),
		post("deep nesting of objects", strings.Repeat(`{"a":`, nesting/2+1)+"1"+strings.Repeat("}", nesting/2+1), 400, notJSON),
		post("deep nesting in a member", `{"x":`+strings.Repeat("[", nesting)+strings.Repeat("]", nesting)+`}`, 400, notJSON),
		post("1 MiB", `{"x":"`+strings.Repeat("x", megabyte)+`"}`, 413, tooLarge),
		post("1 MiB of spaces", strings.Repeat(" ", megabyte), 413, tooLarge),
	}
}

func loginCases() []badBody {
	post := func(name, body string, status int, errcode, said string) badBody {
		return badBody{name: name, method: "POST", body: body, status: status, want: matrix(errcode, said)}
	}
	wrong := func(more house.Object) string { return house.LoginBody("alice", "wrong", more) }
	user := func(name any) house.Object {
		return house.Object{"identifier": house.Object{"type": "m.id.user", "user": name}}
	}
	cases := append(notObjects(),
		post("no type", wrong(house.Object{"type": nil}), 400, "M_MISSING_PARAM", "type is missing"),
		post("type null", `{"type":null}`, 400, "M_MISSING_PARAM", "type is missing"),
		post("type a number", wrong(house.Object{"type": 1}), 400, "M_BAD_JSON", "type must be a string"),
		post("type in capitals", `{"TYPE":"m.login.password"}`, 400, "M_MISSING_PARAM", "type is missing"),
		post("type unknown", wrong(house.Object{"type": "m.login.dance"}), 400, "M_UNKNOWN", "Unknown login type"),
		post("identifier a string", wrong(house.Object{"identifier": "alice"}), 400, "M_BAD_JSON", "identifier must be an object"),
		post("identifier an array", wrong(house.Object{"identifier": []string{"alice"}}), 400, "M_BAD_JSON", "identifier must be an object"),
		post("identifier without type", wrong(house.Object{"identifier": house.Object{"user": "alice"}}), 400, "M_MISSING_PARAM", "identifier.type is missing"),
		post("identifier unknown", wrong(house.Object{"identifier": house.Object{"type": "m.id.phone", "country": "GB", "phone": "07700900001"}}), 400, "M_UNKNOWN", "Unsupported login identifier"),
		post("no user", wrong(house.Object{"identifier": nil}), 400, "M_MISSING_PARAM", "user is missing"),
		post("user empty", wrong(user("")), 400, "M_MISSING_PARAM", "user is missing"),
		post("user an object", wrong(user(house.Object{})), 400, "M_BAD_JSON", "user must be a string"),
		post("user with NUL", wrong(user("alice\x00")), 400, "M_INVALID_PARAM", "user must not hold a NUL character"),
		post("user oversized", wrong(user(strings.Repeat("a", 513))), 400, "M_INVALID_PARAM", "identifier is too long"),
		post("user with line breaks", wrong(user("alice\r\nX-Evil: 1")), 403, "M_FORBIDDEN", "Invalid username or password"),
		post("user a lone surrogate", `{"type":"m.login.password","user":"\ud800","password":"x"}`, 403, "M_FORBIDDEN", "Invalid username or password"),
		post("user a wildcard", wrong(user("al%")), 403, "M_FORBIDDEN", "Invalid username or password"),
		post("user of SQL", wrong(user("' OR '1'='1")), 403, "M_FORBIDDEN", "Invalid username or password"),
		post("no password", wrong(house.Object{"password": nil}), 400, "M_MISSING_PARAM", "password is missing"),
		post("password null", `{"type":"m.login.password","user":"alice","password":null}`, 400, "M_MISSING_PARAM", "password is missing"),
		post("password a number", wrong(house.Object{"password": 12345678}), 400, "M_BAD_JSON", "password must be a string"),
		post("password empty", wrong(house.Object{"password": ""}), 403, "M_FORBIDDEN", "Invalid username or password"),
		post("password with NUL", wrong(house.Object{"password": house.AlicesPassword + "\x00"}), 400, "M_INVALID_PARAM", "password must not hold a NUL character"),
		post("password oversized", wrong(house.Object{"password": strings.Repeat("p", 5000)}), 403, "M_FORBIDDEN", "Invalid username or password"),
		post("device_id a number", wrong(house.Object{"device_id": 7}), 400, "M_BAD_JSON", "device_id must be a string"),
		post("device_id oversized", wrong(house.Object{"device_id": strings.Repeat("D", 256)}), 400, "M_INVALID_PARAM", "device_id must have 1 to 255 bytes"),
		post("device_id with NUL", wrong(house.Object{"device_id": "D\x00"}), 400, "M_INVALID_PARAM", "device_id must not hold a NUL character"),
		post("device_id with line breaks", wrong(house.Object{"device_id": "D\r\nX-Evil: 1"}), 400, "M_INVALID_PARAM", "device_id must not hold control characters"),
		post("device_id a lone surrogate", `{"type":"m.login.password","user":"alice","password":"x","device_id":"\udfff"}`, 400, "M_INVALID_PARAM", "device_id must not hold control characters"),
		post("name of the device a number", wrong(house.Object{"initial_device_display_name": 7}), 400, "M_BAD_JSON", "initial_device_display_name must be a string"),
		post("name of the device with NUL", wrong(house.Object{"initial_device_display_name": "\x00"}), 400, "M_INVALID_PARAM", "initial_device_display_name must not hold a NUL character"),
		post("refresh_token a string", wrong(house.Object{"refresh_token": "true"}), 400, "M_BAD_JSON", "refresh_token must be a boolean"),
		post("refresh_token a number", wrong(house.Object{"refresh_token": 1}), 400, "M_BAD_JSON", "refresh_token must be a boolean"),
		post("unstable refresh_token a string", wrong(house.Object{"org.matrix.msc2918.refresh_token": "true"}), 400, "M_BAD_JSON", "org.matrix.msc2918.refresh_token must be a boolean"),
		// A member that is repeated counts as it stands last, as in every JSON library that clients use.
		post("repeated members", `{"type":"m.login.dance","type":"m.login.password","user":"bob","user":"alice","password":"wrong"}`, 403, "M_FORBIDDEN", "Invalid username or password"),
		post("members in capitals", `{"type":"m.login.password","User":"alice","password":"wrong"}`, 400, "M_MISSING_PARAM", "user is missing"),
		post("nesting below the limit", `{"x":`+strings.Repeat("[", shallow)+strings.Repeat("]", shallow)+`,"type":"m.login.password","user":"alice","password":"wrong"}`, 403, "M_FORBIDDEN", "Invalid username or password"),
	)
	// The Content-Type does not matter (LEG-7).
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ";;", "application/json; charset=utf-16"} {
		header := http.Header{"Content-Type": {kind}}
		if kind == "" {
			header = http.Header{}
		}
		cases = append(cases, badBody{name: "content type " + kind, method: "POST", body: wrong(nil), header: header, status: 403, want: house.WrongPass})
	}
	return append(cases,
		badBody{name: "query does not count", method: "POST", query: "?type=m.login.password&type=x&%zz", body: `{}`, status: 400, want: matrix("M_MISSING_PARAM", "type is missing")},
		badBody{name: "GET with a body", method: "GET", body: "\x00", status: 200, want: `{"flows":[{"type":"m.login.password"}]}`},
	)
}

// deadTokens are bearer tokens of no worth, as header and as query, with what they are answered.
func deadTokens() (cases []badBody) {
	header := func(name string, values ...string) badBody {
		return badBody{name: "header " + name, header: http.Header{"Authorization": values}, want: house.BadToken}
	}
	missing := func(c badBody) badBody { c.want = noToken; return c }
	query := func(name, q string) badBody { return badBody{name: "query " + name, query: q, want: house.BadToken} }
	cases = []badBody{
		missing(badBody{name: "no token"}),
		missing(header("empty", "")),
		missing(header("without a scheme", model.NewToken(model.CompatAccess))),
		missing(header("Basic", "Basic YWxpY2U6eA==")),
		missing(header("Bearer without a token", "Bearer ")),
		header("of another form", "Bearer x"),
		header("of the right form", "Bearer "+model.NewToken(model.CompatAccess)),
		header("a refresh token", "Bearer "+model.NewToken(model.CompatRefresh)),
		header("with a wrong checksum", "Bearer mct_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa_000000"),
		header("oversized", "Bearer "+strings.Repeat("m", 100_000)),
		header("not ASCII", "Bearer m\xff\xfe"),
		header("twice", "Bearer a", "Bearer b"),
		query("of another form", "?access_token=x"),
		query("with NUL", "?access_token=mct_%00"),
		query("with line breaks", "?access_token=x%0d%0aX-Evil:%201"),
		query("broken UTF-8", "?access_token=%ff%fe"),
		query("repeated", "?access_token=a&access_token=b"),
		query("a percent sign alone", "?access_token=%"),
		missing(query("empty", "?access_token=")),
	}
	for i := range cases {
		cases[i].method, cases[i].status = "POST", 401
	}
	return cases
}

// logoutCases: the body never matters (LEG-37), a token does.
func logoutCases() []badBody { return append(unknownCases(), deadTokens()...) }

// unknownCases are those of who is not signed in: whatever the body is, they learn nothing of its faults.
func unknownCases() (cases []badBody) {
	for _, c := range notObjects() {
		c.header = http.Header{"Authorization": {"Bearer " + model.NewToken(model.CompatAccess)}}
		c.status, c.want = 401, house.BadToken
		cases = append(cases, c)
	}
	for _, c := range notObjects() {
		c.name += " without a token"
		c.status, c.want = 401, noToken
		cases = append(cases, c)
	}
	return cases
}

func refreshCases() []badBody {
	post := func(name, body string, status int, want string) badBody {
		return badBody{name: name, method: "POST", body: body, status: status, want: want}
	}
	with := func(value any) string { return house.JSON(house.Object{"refresh_token": value}) }
	return append(notObjects(),
		post("no token", `{}`, 400, matrix("M_MISSING_PARAM", "refresh_token is missing")),
		post("token null", `{"refresh_token":null}`, 400, matrix("M_MISSING_PARAM", "refresh_token is missing")),
		post("token empty", with(""), 400, matrix("M_MISSING_PARAM", "refresh_token is missing")),
		post("token in capitals", `{"Refresh_Token":"x"}`, 400, matrix("M_MISSING_PARAM", "refresh_token is missing")),
		post("token a number", with(1), 400, matrix("M_BAD_JSON", "refresh_token must be a string")),
		post("token a list", with([]string{"x"}), 400, matrix("M_BAD_JSON", "refresh_token must be a string")),
		post("token an object", with(house.Object{}), 400, matrix("M_BAD_JSON", "refresh_token must be a string")),
		post("token with NUL", with("mcr_\x00"), 400, matrix("M_INVALID_PARAM", "refresh_token must not hold a NUL character")),
		post("token with line breaks", with("mcr_\r\nX-Evil: 1"), 401, house.BadFresh),
		post("token oversized", with(strings.Repeat("m", 60_000)), 401, house.BadFresh),
		post("token of another form", with("mcr_x"), 401, house.BadFresh),
		post("token of the right form", with(model.NewToken(model.CompatRefresh)), 401, house.BadFresh),
		post("an access token", with(model.NewToken(model.CompatAccess)), 401, house.BadFresh),
		post("repeated", `{"refresh_token":1,"refresh_token":"x"}`, 401, house.BadFresh),
		badBody{name: "token in the query", method: "POST", query: "?refresh_token=x", body: `{}`, status: 400, want: matrix("M_MISSING_PARAM", "refresh_token is missing")},
		badBody{name: "wrong content type", method: "POST", header: http.Header{"Content-Type": {"text/plain"}}, body: with("x"), status: 401, want: house.BadFresh},
	)
}

func oauthError(said string) string {
	return fmt.Sprintf(`{"error":"invalid_request","error_description":%q}`, said)
}

func introspectCases() []badBody {
	signed := func(kind string) http.Header {
		h := http.Header{"Authorization": {"Bearer " + house.SharedKey}}
		if kind != "" {
			h.Set("Content-Type", kind)
		}
		return h
	}
	const formKind = "application/x-www-form-urlencoded"
	post := func(name, kind, body string, status int, want string) badBody {
		return badBody{name: name, method: "POST", header: signed(kind), body: body, status: status, want: want}
	}
	kind := oauthError("the body must be application/x-www-form-urlencoded")
	token := house.Form("token", "x")
	cases := []badBody{
		post("no content type", "", token, 400, kind),
		post("content type JSON", "application/json", `{"token":"x"}`, 400, kind),
		post("content type multipart", "multipart/form-data; boundary=x", token, 400, kind),
		post("content type broken", ";;", token, 400, kind),
		post("content type with a charset", formKind+"; charset=utf-8", token, 200, house.Inactive),
		post("not a form", formKind, "token=%zz", 400, oauthError("the form cannot be read")),
		post("semicolons", formKind, "token=a;b", 400, oauthError("the form cannot be read")),
		post("JSON as a form", formKind, `{"token":"x"}`, 400, oauthError("token is missing")),
		post("empty", formKind, "", 400, oauthError("token is missing")),
		post("no token", formKind, house.Form("token_type_hint", "access_token"), 400, oauthError("token is missing")),
		post("token empty", formKind, "token=", 400, oauthError("token is missing")),
		post("token repeated", formKind, "token=a&token=b", 400, oauthError("a parameter is repeated")),
		post("hint repeated", formKind, "token=a&token_type_hint=a&token_type_hint=b", 400, oauthError("a parameter is repeated")),
		post("token with NUL", formKind, "token=mct_%00", 200, house.Inactive),
		post("token with line breaks", formKind, house.Form("token", "x\r\nX-Evil: 1"), 200, house.Inactive),
		post("token broken UTF-8", formKind, "token=%ff%fe", 200, house.Inactive),
		post("token oversized", formKind, house.Form("token", strings.Repeat("m", 60_000)), 200, house.Inactive),
		post("token deeply nested", formKind, house.Form("token", strings.Repeat("[", nesting)), 200, house.Inactive),
		post("hint unknown", formKind, house.Form("token", "x", "token_type_hint", "pigeon"), 200, house.Inactive),
		post("many parameters", formKind, "token=x"+manyParameters(), 200, house.Inactive),
		post("1 MiB", formKind, house.Form("token", strings.Repeat("m", megabyte)), 413, oauthError("the request is too large")),
		{name: "token in the query", method: "POST", query: "?token=x", header: signed(formKind), status: 400, want: oauthError("token is missing")},
	}
	return cases
}

func manyParameters() string {
	var b strings.Builder
	for i := range 5_000 {
		fmt.Fprintf(&b, "&p%d=1", i)
	}
	return b.String()
}

// isMetadata tells the documents that caches may keep.
func isMetadata(e house.Endpoint) bool {
	return strings.HasPrefix(e.Name, "discovery") || strings.HasPrefix(e.Name, "auth_")
}

// idleCases: endpoints that answer GET look at nothing that the request brings.
func idleCases(e house.Endpoint) []badBody {
	get := badBody{method: "GET", status: 200, want: house.MetadataText()}
	switch e.Name {
	case "auth_issuer":
		get.want = `{"issuer":"` + house.Issuer + `"}`
	case "register_available":
		get.status, get.want = 400, matrix("M_MISSING_PARAM", "username is missing")
	}
	with := func(name, query, body string, header http.Header) badBody {
		c := get
		c.name, c.query, c.body, c.header = name, query, body, header
		return c
	}
	return []badBody{
		with("plain", "", "", nil),
		with("broken UTF-8", "?a=%ff%fe", "\xff\xfe", nil),
		with("NUL", "?a=%00", "\x00", nil),
		with("deep nesting", "", strings.Repeat("[", nesting), nil),
		with("1 MiB", "", strings.Repeat("x", megabyte), nil),
		with("a query that cannot be read", "?%zz&&=;", "", nil),
		with("repeated parameters", "?a=1&a=2", "", nil),
		with("line breaks", "?a=%0d%0aX-Evil:%201", "", nil),
		with("an oversized query", "?a="+strings.Repeat("a", 100_000), "", nil),
		with("a wrong content type", "", "{}", http.Header{"Content-Type": {";;"}}),
		with("a dead token", "", "", http.Header{"Authorization": {"Bearer x"}}),
	}
}

// TestUnsignedIntrospection: who does not know the secret learns nothing of the request's other faults
// (INTRO-2).
func TestUnsignedIntrospection(t *testing.T) {
	h := house.New(t)
	for i, c := range introspectCases() {
		t.Run(c.name, func(t *testing.T) {
			c.header = c.header.Clone()
			c.header.Set("Authorization", "Bearer guess")
			c.header.Set("X-Test-IP", fmt.Sprintf("198.51.100.%d", i))
			c.status, c.want = 401, `{"error":"invalid_client","error_description":"the caller could not be authenticated"}`
			c.run(t, h, house.EndpointNamed("introspect_public"), "/oauth2/introspect")
		})
	}
}

// TestCutOffRequest: a body that ends before its time is answered, and holds nobody up.
func TestCutOffRequest(t *testing.T) {
	h := house.New(t)
	h.Add("alice")
	before := h.Rows()
	for _, c := range []struct{ name, request string }{
		{"login", "POST " + house.LoginPath + " HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n{\"type\":"},
		{"refresh", "POST " + house.RefreshPath + " HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n{\"refresh_token\":"},
		{"chunks", "POST " + house.LoginPath + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", h.Site.Listener.Addr().String())
			h.Must(err)
			defer conn.Close()
			h.Must(conn.SetDeadline(time.Now().Add(time.Minute)))
			_, err = conn.Write([]byte(c.request))
			h.Must(err)
			h.Must(conn.(*net.TCPConn).CloseWrite())
			line, err := bufio.NewReader(conn).ReadBytes('\n')
			h.Must(err)
			// No client error: a network that broke is no fault of the client, and a refresh must not be given up.
			if !bytes.HasPrefix(line, []byte("HTTP/1.1 503 ")) {
				t.Fatalf("got %q", line)
			}
		})
	}
	if after := h.Rows(); after != before {
		t.Error("a cut-off request changed rows")
	}
}
