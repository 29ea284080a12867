package oauth

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/client"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

func TestCredentialsOf(t *testing.T) { // CAUTH-1, CAUTH-2, CAUTH-4
	basic := func(pair string) []string {
		return []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(pair))}
	}
	type form = map[string]string
	challenged := model.NewError(model.InvalidClient).WithChallenge(model.ChallengeBasic)
	for name, test := range map[string]struct {
		header []string
		form   form
		want   client.Credentials
		err    *model.Error
	}{
		"a_public_client_in_the_body": {nil, form{"client_id": "app"}, client.Credentials{ID: "app", Method: model.AuthNone}, nil},
		"a_secret_in_the_body":        {nil, form{"client_id": "app", "client_secret": "x"}, client.Credentials{ID: "app", Secret: "x", Method: model.AuthPost}, nil},
		"an_empty_secret_is_none":     {nil, form{"client_id": "app", "client_secret": ""}, client.Credentials{ID: "app", Method: model.AuthNone}, nil},
		"nothing":                     {nil, form{}, client.Credentials{}, model.NewError(model.MissingParam)},
		"a_secret_alone":              {nil, form{"client_secret": "x"}, client.Credentials{}, model.NewError(model.MissingParam)},
		"the_header":                  {basic("app:x"), nil, client.Credentials{ID: "app", Secret: "x", Method: model.AuthBasic}, nil},
		"the_header_in_small_letters": {[]string{"basic YXBwOng="}, nil, client.Credentials{ID: "app", Secret: "x", Method: model.AuthBasic}, nil},
		"both_halves_are_form_encoded": {
			basic("my%3Aapp:a%20b%2Bc+d%3A:"), nil, client.Credentials{ID: "my:app", Secret: "a b+c d::", Method: model.AuthBasic}, nil,
		},
		"the_same_client_in_the_body":        {basic("app:x"), form{"client_id": "app"}, client.Credentials{ID: "app", Secret: "x", Method: model.AuthBasic}, nil},
		"another_client_in_the_body":         {basic("app:x"), form{"client_id": "other"}, client.Credentials{}, model.NewError(model.InvalidParam)},
		"header_and_secret":                  {basic("app:x"), form{"client_id": "app", "client_secret": "x"}, client.Credentials{}, model.NewError(model.InvalidParam)},
		"header_and_assertion":               {basic("app:x"), form{"client_assertion": "x"}, client.Credentials{}, model.NewError(model.InvalidParam)},
		"secret_and_assertion":               {nil, form{"client_id": "app", "client_secret": "x", "client_assertion": "y"}, client.Credentials{}, model.NewError(model.InvalidParam)},
		"two_headers":                        {append(basic("app:x"), basic("app:x")...), nil, client.Credentials{}, model.NewError(model.InvalidParam)},
		"an_assertion":                       {nil, form{"client_id": "app", "client_assertion": "x"}, client.Credentials{}, model.NewError(model.InvalidClient)},
		"an_assertion's_type":                {nil, form{"client_id": "app", "client_assertion_type": "x"}, client.Credentials{}, model.NewError(model.InvalidClient)},
		"a_header_of_another_scheme":         {[]string{"Bearer x"}, form{"client_id": "app"}, client.Credentials{}, challenged},
		"a_header_without_anything":          {[]string{""}, form{"client_id": "app"}, client.Credentials{}, challenged},
		"a_header_that_is_not_base64":        {[]string{"Basic ?"}, nil, client.Credentials{}, challenged},
		"a_header_without_a_colon":           {basic("app"), nil, client.Credentials{}, challenged},
		"a_header_without_a_client":          {basic(":x"), nil, client.Credentials{}, challenged},
		"a_header_with_half_a_percent":       {basic("app:100%"), nil, client.Credentials{}, challenged},
		"a_header_with_half_a_percent_first": {basic("%:x"), nil, client.Credentials{}, challenged},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/oauth2/token", nil)
			if test.header != nil {
				r.Header["Authorization"] = test.header
			}
			got, err := credentialsOf(r, test.form)
			if test.err == nil {
				if err != nil || got != test.want {
					t.Errorf("got %+v: %v", got, err)
				}
				return
			}
			var e *model.Error
			if !errors.As(err, &e) || e.Code != test.err.Code || e.Challenge != test.err.Challenge {
				t.Errorf("got %+v: %#v", got, err)
			}
		})
	}
}

func FuzzBasicCredentials(f *testing.F) {
	for _, seed := range []string{"Basic YXBwOng=", "basic  ", "Basic ::", "Basic YSUzYTpi", "Bearer x", ""} {
		f.Add(seed, "app")
	}
	f.Fuzz(func(t *testing.T, header, bodyID string) {
		got, err := basicCredentials(header, bodyID)
		if err == nil && (got.ID == "" || got.Method != model.AuthBasic || bodyID != "" && bodyID != got.ID) {
			t.Errorf("%q gives %+v", header, got)
		}
	})
}
