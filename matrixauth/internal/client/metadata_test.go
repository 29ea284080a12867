package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// parsed is a registration as the wire gives it.
func parsed(t testing.TB, text string) Metadata {
	t.Helper()
	var m Metadata
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}

// with is a registration that is accepted, with other members on top; "-" removes one.
func with(t testing.TB, members map[string]string) Metadata {
	t.Helper()
	m := parsed(t, `{"client_uri":"https://example.com","redirect_uris":["https://example.com/cb"],"token_endpoint_auth_method":"none"}`)
	for name, raw := range members {
		if raw == "-" {
			delete(m, name)
			continue
		}
		m[name] = json.RawMessage(raw)
	}
	return m
}

type members = map[string]string

// wantBlame checks that an error blames a member, in its code and in its text (REG-17).
func wantBlame(t *testing.T, err error, code model.Code, member string) {
	t.Helper()
	var e *model.Error
	if !errors.As(err, &e) || e.Code != code || code != model.UnapprovedSoftware && !strings.HasPrefix(e.Text, member+" ") {
		t.Errorf("got %#v, want %s of %s", err, code, member)
	}
}

// TestParse holds what is registered of what was sent.
func TestParse(t *testing.T) {
	clients := New(Config{})
	for name, test := range map[string]struct {
		sent Metadata
		want string
	}{
		"what_is_left_out_has_defaults": { // REG-9, REG-19, REG-21
			parsed(t, `{"client_uri":"https://example.com","redirect_uris":["https://example.com/cb"]}`),
			`{"client_uri":"https://example.com","application_type":"web","token_endpoint_auth_method":"client_secret_basic","grant_types":["authorization_code"],
			"response_types":["code"],"redirect_uris":["https://example.com/cb"]}`,
		},
		"null_is_left_out": {
			with(t, members{"application_type": "null", "grant_types": " null ", "logo_uri": "null", "software_statement": "null", "client_name": "null"}),
			`{"client_uri":"https://example.com","application_type":"web","token_endpoint_auth_method":"none","grant_types":["authorization_code"],
			"response_types":["code"],"redirect_uris":["https://example.com/cb"]}`,
		},
		"unknown_members_and_values_are_dropped": { // REG-2, REG-4, REG-5, REG-23, REG-39
			with(t, members{
				"grant_types":    `["implicit","client_credentials","refresh_token","authorization_code","urn:ietf:params:oauth:grant-type:device_code"]`,
				"response_types": `["id_token","code"]`, "id_token_signed_response_alg": `"RS256"`, "default_max_age": "3600", "require_auth_time": "true",
				"initiate_login_uri": `"https://example.com/go"`, "scope": `"urn:synapse:admin:*"`, "Client_Name": `"x"`, "client_name#": `"x"`, "client_name#a b": `"x"`,
				"software_id": `"id"`, "software_version": `"1"`, "contacts": `["a@example.com","a@example.com"]`, "jwks_uri": `"http://127.0.0.1/"`,
				"require_pushed_authorization_requests": "true",
			}),
			`{"client_uri":"https://example.com","application_type":"web","token_endpoint_auth_method":"none","grant_types":["refresh_token","authorization_code"],
			"response_types":["code"],"redirect_uris":["https://example.com/cb"],"contacts":["a@example.com"],"software_id":"id","software_version":"1"}`,
		},
		"a_device_needs_no_redirect_uris": { // REG-16
			with(t, members{"grant_types": `["refresh_token","urn:ietf:params:oauth:grant-type:device_code"]`, "redirect_uris": "-"}),
			`{"client_uri":"https://example.com","application_type":"web","token_endpoint_auth_method":"none","grant_types":["refresh_token"],"response_types":[]}`,
		},
		"languages_are_kept": { // REG-24
			with(t, members{
				"client_name": `"Talk"`, "client_name#de-AT": `"Plausch"`, "tos_uri#de": `"https://example.com/agb"`, "client_uri#fr": `"https://fr.example.com"`,
				"policy_uri#de": "null", "logo_uri#de": `""`,
			}),
			`{"client_name":"Talk","client_uri":"https://example.com","application_type":"web","token_endpoint_auth_method":"none","grant_types":["authorization_code"],
			"response_types":["code"],"redirect_uris":["https://example.com/cb"],
			"client_name#de-AT":"Plausch","client_uri#fr":"https://fr.example.com","tos_uri#de":"https://example.com/agb"}`,
		},
		"names_cannot_turn_the_text_around_them": { // HTTP-9
			with(t, members{"client_name": `"  Ele\u202ement\u0007\n \u2066X\u2069 "`}),
			`{"client_name":"Element X","client_uri":"https://example.com","application_type":"web","token_endpoint_auth_method":"none","grant_types":["authorization_code"],
			"response_types":["code"],"redirect_uris":["https://example.com/cb"]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := clients.parse(test.sent)
			if err != nil {
				t.Fatal(err)
			}
			var want model.ClientMetadata
			if err := json.Unmarshal([]byte(test.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestJudgeRefuses holds who is blamed for what.
func TestJudgeRefuses(t *testing.T) { // REG-17
	clients := New(Config{})
	long := func(n int) string { return `"https://example.com/` + strings.Repeat("x", n) + `"` }
	many := func(n int, format string) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(format, i))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	tongues := members{}
	for i := range bound.LocalizedTexts + 1 {
		tongues[fmt.Sprintf("client_name#x%d", i)] = `"x"`
	}
	metadata, redirect := model.InvalidClientMetadata, model.InvalidRedirectURI
	for name, test := range map[string]struct {
		sent   members
		code   model.Code
		member string
	}{
		"no_client_uri":                       {members{"client_uri": "-"}, metadata, "client_uri"}, // REG-6
		"an_empty_client_uri":                 {members{"client_uri": `""`}, metadata, "client_uri"},
		"a_client_uri_that_is_no_string":      {members{"client_uri": "1"}, metadata, "client_uri"},
		"a_client_uri_that_is_too_long":       {members{"client_uri": long(bound.MetadataURI)}, metadata, "client_uri"},
		"an_application_type_that_is_unknown": {members{"application_type": `"desktop"`}, metadata, "application_type"}, // REG-9
		"an_application_type_in_capitals":     {members{"application_type": `"WEB"`}, metadata, "application_type"},
		"an_auth_method_that_is_unknown":      {members{"token_endpoint_auth_method": `"private_key_jwt"`}, metadata, "token_endpoint_auth_method"},
		"an_auth_method_that_is_a_list":       {members{"token_endpoint_auth_method": `["none"]`}, metadata, "token_endpoint_auth_method"},
		"two_sets_of_keys":                    {members{"jwks": `{"keys":[]}`, "jwks_uri": `"https://example.com/keys"`}, metadata, "jwks"}, // REG-22
		"a_software_statement":                {members{"software_statement": `"x.y.z"`}, model.UnapprovedSoftware, "software_statement"},   // REG-32
		"a_software_statement_of_any_type":    {members{"software_statement": `{}`}, model.UnapprovedSoftware, "software_statement"},
		"grant_types_that_are_a_string":       {members{"grant_types": `"authorization_code"`}, metadata, "grant_types"},
		"grant_types_that_hold_null":          {members{"grant_types": `["authorization_code",null]`}, metadata, "grant_types"},
		"too_many_grant_types":                {members{"grant_types": many(bound.MetadataValues+1, `"%d"`)}, metadata, "grant_types"},
		"a_response_without_a_code":           {members{"response_types": `["token"]`}, metadata, "response_types"},
		"a_name_that_is_no_string":            {members{"client_name": `{"en":"x"}`}, metadata, "client_name"},
		"a_name_that_is_too_long":             {members{"client_name": `"` + strings.Repeat("x", bound.MetadataText+1) + `"`}, metadata, "client_name"},
		"a_localized_name_that_is_no_string":  {members{"client_name#de": "1"}, metadata, "client_name#de"},
		"too_many_contacts":                   {members{"contacts": many(bound.Contacts+1, `"%d@example.com"`)}, metadata, "contacts"},
		"a_contact_that_is_no_string":         {members{"contacts": `[1]`}, metadata, "contacts"},
		"a_logo_of_another_host":              {members{"logo_uri": `"https://example.org/logo.png"`}, metadata, "logo_uri"}, // REG-7
		"a_logo_without_https":                {members{"logo_uri": `"http://example.com/logo.png"`}, metadata, "logo_uri"},
		"a_policy_of_a_host_that_looks_alike": {members{"policy_uri": `"https://notexample.com/"`}, metadata, "policy_uri"},
		"terms_of_a_user":                     {members{"tos_uri": `"https://a@example.com/"`}, metadata, "tos_uri"},
		"localized_terms_of_another_host":     {members{"tos_uri#de": `"https://example.org/"`}, metadata, "tos_uri#de"},
		"a_localized_client_uri_of_another":   {members{"client_uri#de": `"https://example.org/"`}, metadata, "client_uri#de"},
		"too_many_languages":                  {tongues, metadata, "client_name#x9"},
		"no_redirect_uris":                    {members{"redirect_uris": "-"}, redirect, "redirect_uris"}, // REG-16
		"empty_redirect_uris":                 {members{"redirect_uris": "[]"}, redirect, "redirect_uris"},
		"redirect_uris_that_are_a_string":     {members{"redirect_uris": `"https://example.com/cb"`}, redirect, "redirect_uris"},
		"redirect_uris_that_are_numbers":      {members{"redirect_uris": `[1]`}, redirect, "redirect_uris"},
		"a_redirect_uri_that_is_too_long":     {members{"redirect_uris": "[" + long(bound.MetadataURI) + "]"}, redirect, "redirect_uris"},
		"too_many_redirect_uris":              {members{"redirect_uris": many(bound.RedirectURIs+1, `"https://example.com/%d"`)}, redirect, "redirect_uris"},
		"one_wrong_redirect_uri_of_three":     {members{"redirect_uris": `["https://example.com/a","https://example.org/b","https://example.com/c"]`}, redirect, "redirect_uris[1]"},
		"a_wrong_one_that_is_never_used":      {members{"grant_types": `["refresh_token"]`, "redirect_uris": `["javascript:alert(1)"]`}, redirect, "redirect_uris[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := clients.parse(with(t, test.sent))
			wantBlame(t, err, test.code, test.member)
		})
	}
	t.Run("too_much_of_all_together", func(t *testing.T) { // REG-29
		_, err := clients.parse(with(t, members{"redirect_uris": many(9, `"https://example.com/`+strings.Repeat("x", 2000)+`%d"`)}))
		if !errors.Is(err, metadata) {
			t.Errorf("got %v", err)
		}
	})
}

// TestClientURI checks the address against which all others are checked.
func TestClientURI(t *testing.T) { // REG-6, REG-34, REG-38
	strict, lax := New(Config{}), New(Config{AllowHTTP: true})
	for uri, want := range map[string]struct{ strict, lax bool }{
		"https://example.com":                     {true, true},
		"https://example.com/":                    {true, true},
		"https://EXAMPLE.com./x?y#z":              {true, true},
		"https://app.example.com:8443/a/b":        {true, true},
		"https://xn--bcher-kva.example/":          {true, true},
		"https://alice.github.io":                 {true, true},
		"https://example.co.uk":                   {true, true},
		"http://example.com":                      {false, false},
		"HTTPS://example.com":                     {false, false},
		"https:example.com":                       {false, false},
		"https:/example.com":                      {false, false},
		"https:///example.com":                    {false, false},
		"//example.com":                           {false, false},
		"example.com":                             {false, false},
		"https://":                                {false, false},
		"https://.":                               {false, false},
		"https://user@example.com":                {false, false},
		"https://@example.com":                    {false, false},
		"https://user:pw@example.com":             {false, false},
		"https://example.com\\@evil.org":          {false, false},
		"https://example.com evil.org":            {false, false},
		"https://ex%61mple.com":                   {false, false},
		"https://bücher.example":                  {false, false},
		"https://example.com:port":                {false, false},
		"https://a..example.com":                  {false, false},
		"https://.example.com":                    {false, false},
		"https://github.io":                       {false, false},
		"https://co.uk":                           {false, false},
		"https://com":                             {false, false},
		"https://intranet":                        {false, false},
		"https://192.0.2.1":                       {false, false},
		"https://[2001:db8::1]":                   {false, false},
		"https://0x7f.1":                          {false, false},
		"https://2130706433":                      {false, false},
		"https://example.com/%":                   {false, false},
		"https://example.com/%zz":                 {false, false},
		"https://example.com/\u202e":              {false, false},
		"https://example.com/\n":                  {false, false},
		"http://localhost":                        {false, true},
		"http://localhost:8080/app":               {false, true},
		"https://localhost:8443":                  {false, true},
		"http://127.0.0.1:8080":                   {false, true},
		"http://[::1]:8080":                       {false, true},
		"http://127.0.0.2":                        {false, false},
		"http://localhost.example.com":            {false, false},
		"http://user@localhost":                   {false, false},
		"https://element.io":                      {true, true},
		"https://gitlab.gnome.org/World/fractal":  {true, true},
		"https://example.com/path%20with%20space": {true, true},
	} {
		for _, mode := range []struct {
			name string
			*Clients
			want bool
		}{{"strict", strict, want.strict}, {"lax", lax, want.lax}} {
			if _, problem := mode.home(uri); (problem == "") != mode.want {
				t.Errorf("%s, %s: %q", uri, mode.name, problem)
			}
		}
	}
}

// TestRedirectURIs are the vectors for a client of https://example.com.
func TestRedirectURIs(t *testing.T) { // VEC: REG-8, REG-10 to REG-15, REG-35
	h, problem := New(Config{}).home("https://example.com")
	if problem != "" {
		t.Fatal(problem)
	}
	type kinds struct{ web, native bool }
	both, native, none := kinds{true, true}, kinds{false, true}, kinds{}
	for uri, want := range map[string]kinds{
		"https://example.com/callback":              both,
		"https://app.example.com/callback":          both,
		"https://example.com:5173/?query=value":     both,
		"https://example.com":                       both,
		"https://APP.example.COM/callback":          both,
		"https://example.com./":                     both,
		"https://example.com/callback#fragment":     none,
		"https://example.com/callback#":             none,
		"http://example.com/callback":               none,
		"https://other.org/cb":                      none,
		"https://user:pw@example.com/":              none,
		"https://notexample.com/":                   none,
		"https://example.com.evil.org/":             none,
		"https://evil.org/.example.com":             none,
		"https://evil.org\\.example.com/":           none,
		"https://evil.org%2f.example.com/":          none,
		"https://evil.org?.example.com/":            none,
		"https://evil.org:80.example.com/":          none,
		"https://.example.com/":                     none,
		"https://a..example.com/":                   none,
		"https://com/":                              none,
		"https:example.com/":                        none,
		"https:/example.com/":                       none,
		"//example.com/":                            none,
		"/callback":                                 none,
		"":                                          none,
		"com.example.app:/callback":                 native,
		"com.example:/":                             native,
		"com.example:path":                          native,
		"COM.EXAMPLE:/":                             native,
		"com.example.My-App+1:/x?y=z":               native,
		"example:/callback":                         none,
		"com:/callback":                             none,
		"com.examplefoo:/callback":                  none,
		"com.example.:/callback":                    none,
		"com.example..app:/callback":                none,
		"org.example.com:/callback":                 none,
		"com.example.app://callback":                none,
		"com.example.app:///callback":               none,
		"com.example:/x#f":                          none,
		"com.example:":                              none,
		"com.example":                               none,
		"com.example.app:/call back":                none,
		"com.example.app:/\\evil.org":               none,
		"http://localhost/callback":                 native,
		"http://127.0.0.1/callback":                 native,
		"http://[::1]/callback":                     native,
		"http://localhost:1234/callback":            native,
		"http://localhost:3001/login":               native, // REG-14
		"http://localhost/":                         native,
		"https://localhost/callback":                none,
		"https://127.0.0.1/callback":                none,
		"http://localhost.evil.org/":                none,
		"http://127.0.0.2/":                         none,
		"http://127.1/":                             none,
		"http://[::2]/":                             none,
		"http://LOCALHOST/":                         none,
		"HTTP://localhost/":                         none,
		"http://localhost:0/":                       none,
		"http://localhost:65536/":                   none,
		"http://user@localhost/":                    none,
		"http:localhost/":                           none,
		"http://localhost/#x":                       none,
		"javascript:alert(1)":                       none,
		"JavaScript:alert(1)":                       none,
		"java\nscript:alert(1)":                     none,
		"data:text/html,x":                          none,
		"file:///etc/passwd":                        none,
		"vbscript:x":                                none,
		"blob:https://example.com/x":                none,
		"about:blank":                               none,
		"urn:ietf:wg:oauth:2.0:oob":                 none,
		"intent://example.com/#Intent;scheme=x;end": none,
	} {
		if problem := h.checkWeb(uri); (problem == "") != want.web {
			t.Errorf("web: %q: %q", uri, problem)
		}
		if problem := h.checkNative(uri); (problem == "") != want.native {
			t.Errorf("native: %q: %q", uri, problem)
		}
	}
}

// TestRedirectURIsOfDevelopment are those that the switch for development adds.
func TestRedirectURIsOfDevelopment(t *testing.T) {
	h, problem := New(Config{AllowHTTP: true}).home("http://localhost:8080/app")
	if problem != "" {
		t.Fatal(problem)
	}
	for uri, want := range map[string]bool{
		"http://localhost:8080/app?x": true, "http://localhost/": true, "https://localhost:8443/": true,
		"http://127.0.0.1:8080/": false, "http://a.localhost/": false, "http://example.com/": false, "http://localhost.evil.org/": false, "http://localhost/#": false, "localhost:/x": false,
	} {
		if problem := h.checkWeb(uri); (problem == "") != want {
			t.Errorf("%q: %q", uri, problem)
		}
	}
	if h.checkNative("localhost:/x") == "" || h.checkNative("localhost.app:/x") == "" { // REG-12
		t.Error("a scheme without a host passes")
	}
}

// FuzzMetadata registers anything: what is accepted obeys the rules as they are told here once more,
// by a parser.
func FuzzMetadata(f *testing.F) {
	files, err := filepath.Glob("testdata/registration/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no registrations: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"client_uri":"https://example.com","redirect_uris":["https://example.com/"],"client_name#de":"\u202ex","grant_types":[]}`))
	f.Add([]byte(`{"client_uri":"https://example.com","redirect_uris":["com.example:/"],"application_type":"native","client_uri#x":"https://a.example.com"}`))
	clients := New(Config{})
	f.Fuzz(func(t *testing.T, text []byte) {
		var m Metadata
		if json.Unmarshal(text, &m) != nil {
			return
		}
		got, err := clients.parse(m)
		if err != nil {
			if e := model.AsError(err); e.Kind() != model.Invalid || e.Text == "" && e.Code != model.UnapprovedSoftware {
				t.Errorf("%s: %#v", text, err)
			}
			return
		}
		wantRules(t, got)
		wantSameAgain(t, got)
	})
}

// wantSameAgain registers what was registered: nothing more may be changed of it.
func wantSameAgain(t *testing.T, got model.ClientMetadata) {
	t.Helper()
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	again, err := New(Config{}).parse(parsed(t, string(text)))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if a, b := mustDigest(t, got), mustDigest(t, again); a != b {
		t.Errorf("%+v becomes %+v", got, again)
	}
}

func mustDigest(t *testing.T, m model.ClientMetadata) model.TokenHash {
	t.Helper()
	d, err := digestOf(m)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestRealRegistrations accepts what clients send, and gives the same client for the same metadata.
func TestRealRegistrations(t *testing.T) {
	files, err := filepath.Glob("testdata/registration/*.json")
	if err != nil {
		t.Fatal(err)
	}
	digests := map[model.TokenHash]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m := parsed(t, string(text))
		got, err := New(Config{}).parse(m)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		wantRules(t, got)
		wantSameAgain(t, got)
		d := mustDigest(t, got)
		if other := digests[d]; other != "" {
			t.Errorf("%s and %s are one client", file, other)
		}
		digests[d] = file
	}
	if len(digests) < 14 {
		t.Errorf("only %d registrations were found", len(digests))
	}
}

// TestDigest tells apart what differs, and nothing else.
func TestDigest(t *testing.T) { // REG-27
	clients := New(Config{})
	digest := func(m Metadata) model.TokenHash {
		t.Helper()
		got, err := clients.parse(m)
		if err != nil {
			t.Fatal(err)
		}
		return mustDigest(t, got)
	}
	base := members{"redirect_uris": `["https://example.com/a","https://example.com/b"]`, "grant_types": `["authorization_code","refresh_token"]`}
	also := func(more members) Metadata {
		all := maps.Clone(base)
		maps.Copy(all, more)
		return with(t, all)
	}
	for name, same := range map[string]Metadata{
		"another_order":     also(members{"redirect_uris": `["https://example.com/b","https://example.com/a"]`, "grant_types": `["refresh_token","authorization_code"]`}),
		"something_unknown": also(members{"foo": `"bar"`, "response_types": `["code"]`, "application_type": `"web"`}),
		"something_twice":   also(members{"redirect_uris": `["https://example.com/a","https://example.com/b","https://example.com/a"]`}),
	} {
		if digest(same) != digest(with(t, base)) {
			t.Errorf("%s makes another client", name)
		}
	}
	var seen []model.TokenHash
	for _, other := range []members{
		{}, {"client_name": `"x"`}, {"client_name#de": `"x"`}, {"client_name#en": `"x"`}, {"redirect_uris": `["https://example.com/a"]`}, {"client_uri": `"https://example.com/"`},
		{"application_type": `"native"`}, {"grant_types": `["authorization_code"]`}, {"logo_uri": `"https://example.com/x"`}, {"tos_uri": `"https://example.com/x"`},
		{"policy_uri": `"https://example.com/x"`}, {"contacts": `["x"]`}, {"software_id": `"x"`}, {"software_version": `"x"`},
	} {
		d := digest(also(other))
		if slices.Contains(seen, d) {
			t.Errorf("%v makes no difference", other)
		}
		seen = append(seen, d)
	}
}
