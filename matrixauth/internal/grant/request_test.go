package grant

import (
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// The pair of RFC 7636 appendix B.
const (
	sampleVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	sampleChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

func goodAsk() Ask {
	return Ask{
		ResponseType: "code", Scope: api + " " + device + "PHONE", State: "s", HasState: true,
		Challenge: sampleChallenge, ChallengeMethod: "S256",
	}
}

var webClient = model.Client{ID: "client", Metadata: model.ClientMetadata{
	Name: "Client", URI: "https://client.example/", ApplicationType: model.WebApplication, AuthMethod: model.AuthNone,
	GrantTypes: []string{model.GrantCode, model.GrantRefresh}, ResponseTypes: []string{"code"}, RedirectURIs: []string{"https://client.example/cb"},
}}

func TestParseRequest(t *testing.T) {
	deviceOnly := webClient
	deviceOnly.Metadata.GrantTypes = []string{model.GrantRefresh}
	for name, c := range map[string]struct {
		client model.Client
		change func(*Ask)
		want   model.Code // empty if the request is good
	}{
		"a good request":                         {webClient, func(*Ask) {}, ""},
		"response_type is missing":               {webClient, func(a *Ask) { a.ResponseType = "" }, model.InvalidParam}, // AUTHZ-7
		"response_type=token":                    {webClient, func(a *Ask) { a.ResponseType = "token" }, model.UnsupportedResponseType},
		"response_type=code id_token":            {webClient, func(a *Ask) { a.ResponseType = "code id_token" }, model.UnsupportedResponseType},
		"a client without the grant":             {deviceOnly, func(*Ask) {}, model.UnauthorizedClient},                                     // AUTHZ-15
		"no challenge":                           {webClient, func(a *Ask) { a.Challenge, a.ChallengeMethod = "", "" }, model.InvalidParam}, // AUTHZ-8
		"no challenge method, which means plain": {webClient, func(a *Ask) { a.ChallengeMethod = "" }, model.InvalidParam},
		"challenge method plain":                 {webClient, func(a *Ask) { a.ChallengeMethod = "plain" }, model.InvalidParam}, // DISC-4
		"a challenge too short":                  {webClient, func(a *Ask) { a.Challenge = sampleChallenge[1:] }, model.InvalidParam},
		"a challenge in other letters":           {webClient, func(a *Ask) { a.Challenge = "+" + sampleChallenge[1:] }, model.InvalidParam},
		"a request object":                       {webClient, func(a *Ask) { a.Request = "eyJ" }, model.RequestNotSupported}, // PAR-10
		"a request URI":                          {webClient, func(a *Ask) { a.RequestURI = "https://client.example/r" }, model.RequestURINotSupported},
		"a registration object":                  {webClient, func(a *Ask) { a.Registration = "{}" }, model.RegistrationUnsupported},
		"an unknown response mode":               {webClient, func(a *Ask) { a.ResponseMode = "jwt" }, model.InvalidParam}, // AUTHZ-9
		"fragment":                               {webClient, func(a *Ask) { a.ResponseMode = "fragment" }, ""},
		"form_post":                              {webClient, func(a *Ask) { a.ResponseMode = "form_post" }, ""},
		"prompt=none":                            {webClient, func(a *Ask) { a.Prompt = "none" }, ""},
		"prompt=none with another":               {webClient, func(a *Ask) { a.Prompt = "none login" }, model.InvalidParam},  // OIDC-10
		"prompt=none create":                     {webClient, func(a *Ask) { a.Prompt = "none create" }, model.InvalidParam}, // CREATE-3
		"an unknown prompt is ignored":           {webClient, func(a *Ask) { a.Prompt = "dance" }, ""},                       // OIDC-12
		"max_age=0":                              {webClient, func(a *Ask) { a.MaxAge = "0" }, ""},
		"max_age below zero":                     {webClient, func(a *Ask) { a.MaxAge = "-1" }, model.InvalidParam}, // OIDC-13
		"max_age that is not a number":           {webClient, func(a *Ask) { a.MaxAge = "1.5" }, model.InvalidParam},
		"a bad scope":                            {webClient, func(a *Ask) { a.Scope = api }, model.InvalidScope},
		"no state":                               {webClient, func(a *Ask) { a.State, a.HasState = "", false }, ""}, // AUTHZ-11
		"unknown languages":                      {webClient, func(a *Ask) { a.UILocales = "xx tlh-Qaak" }, ""},     // OIDC-20
		"a hint without end is ignored":          {webClient, func(a *Ask) { a.LoginHint = strings.Repeat("x", 10_000) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ask := goodAsk()
			c.change(&ask)
			_, err := ParseRequest(c.client, "https://client.example/cb", ask)
			if c.want == "" && err != nil || c.want != "" && model.AsError(err).Code != c.want {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	t.Run("what is kept", func(t *testing.T) {
		ask := goodAsk()
		ask.Prompt, ask.MaxAge, ask.LoginHint = "login consent select_account create", "60", "mxid:@alice:example.test"
		r, err := ParseRequest(webClient, "https://client.example/cb", ask)
		if err != nil {
			t.Fatal(err)
		}
		if a := r.Asked; !a.Login || !a.Consent || !a.Select || !a.Create || a.MaxAge == nil || *a.MaxAge != 60 || a.DeviceID != "PHONE" || a.LoginHint != ask.LoginHint {
			t.Errorf("%+v", a)
		}
		want := model.Delivery{Kind: model.ByRedirect, Redirect: model.Redirect{
			RedirectURI: "https://client.example/cb", ResponseMode: model.ModeQuery, State: "s", HasState: true, Challenge: sampleChallenge,
		}}
		if r.Delivery != want {
			t.Errorf("%+v", r.Delivery)
		}
	})
}

func TestVerifier(t *testing.T) {
	for name, c := range map[string]struct {
		verifier string
		want     bool
	}{
		"RFC 7636 appendix B":           {sampleVerifier, true},
		"the sample of 32 characters":   {"ogie4iVaeteeKeeLaid0aizuimairaCh", false}, // TOK-10
		"another one":                   {"e" + sampleVerifier[1:], false},
		"the challenge itself":          {sampleChallenge, false},
		"none":                          {"", false},
		"a letter that no verifier has": {sampleVerifier + "+", false},
		"129 characters":                {strings.Repeat("a", 129), false},
	} {
		if got := verifies(c.verifier, sampleChallenge); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if verifies(sampleVerifier, "") {
		t.Error("a request without a challenge was exchanged by a verifier (TOK-11)")
	}
}

func TestHint(t *testing.T) {
	for _, c := range []struct {
		hint, text string
		names      bool
	}{
		{"", "", true}, {"mxid:@alice:example.test", "@alice:example.test", true}, {"mxid:@Alice:example.test", "@Alice:example.test", true},
		{"@alice:example.test", "@alice:example.test", true}, {"alice", "alice", true}, {"mxid:@bob:example.test", "@bob:example.test", false},
		{"mxid:@alice:other.test", "@alice:other.test", false}, {"bob", "bob", false}, {"email:bob@example.org", "bob@example.org", true},
	} {
		h := ReadHint(c.hint)
		if h.Text() != c.text || h.Names("alice", "example.test") != c.names {
			t.Errorf("%q: %q, %v", c.hint, h.Text(), h.Names("alice", "example.test"))
		}
	}
}
