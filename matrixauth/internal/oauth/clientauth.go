package oauth

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/client"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// clientOf authenticates the client that sent a form. The rules are the same at every endpoint
// (CAUTH-14). Its errors: InvalidClient; MissingParam and InvalidParam for a request that names no
// client, or proves it in two ways.
func (d *Door) clientOf(r *http.Request, form map[string]string) (model.Client, error) {
	given, err := credentialsOf(r, form)
	if err != nil {
		return model.Client{}, err
	}
	found, err := d.Clients.Authenticate(r.Context(), given)
	if given.Method == model.AuthBasic {
		err = challenged(err)
	}
	return found, err
}

// credentialsOf reads what a request offers as proof of its client: the Authorization header, or
// client_id and perhaps client_secret in the body (RFC 6749 section 2.3.1).
func credentialsOf(r *http.Request, form map[string]string) (client.Credentials, error) {
	header := r.Header.Values("Authorization")
	ways := len(header)
	for _, name := range []string{"client_secret", "client_assertion"} {
		if form[name] != "" {
			ways++
		}
	}
	if ways > 1 {
		return client.Credentials{}, model.Errorf(model.InvalidParam, "the client is authenticated in more than one way")
	}
	if len(header) == 1 {
		return basicCredentials(header[0], form["client_id"])
	}
	if form["client_assertion"] != "" || form["client_assertion_type"] != "" {
		return client.Credentials{}, model.Errorf(model.InvalidClient, "client assertions are not supported")
	}
	given := client.Credentials{ID: form["client_id"], Secret: form["client_secret"], Method: model.AuthNone}
	if given.ID == "" {
		return given, model.Errorf(model.MissingParam, "client_id is missing")
	}
	if given.Secret != "" {
		given.Method = model.AuthPost
	}
	return given, nil
}

// basicCredentials reads an Authorization header. Both halves are form-encoded before base64, so that
// a colon can be in either (CAUTH-2). A client_id in the body must say the same.
func basicCredentials(header, bodyID string) (client.Credentials, error) {
	refused := challenged(model.NewError(model.InvalidClient))
	scheme, encoded, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return client.Credentials{}, refused
	}
	pair, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return client.Credentials{}, refused
	}
	id, secret, found := strings.Cut(string(pair), ":")
	if !found {
		return client.Credentials{}, refused
	}
	given := client.Credentials{Method: model.AuthBasic}
	var err2 error
	given.ID, err = url.QueryUnescape(id)
	given.Secret, err2 = url.QueryUnescape(secret)
	if err != nil || err2 != nil || given.ID == "" {
		return client.Credentials{}, refused
	}
	if bodyID != "" && bodyID != given.ID {
		return client.Credentials{}, model.Errorf(model.InvalidParam, "client_id is not the client of the Authorization header")
	}
	return given, nil
}

// challenged has a refusal name the scheme that the caller tried (CAUTH-4).
func challenged(err error) error {
	var e *model.Error
	if !errors.As(err, &e) || e.Code != model.InvalidClient {
		return err
	}
	return e.WithChallenge(model.ChallengeBasic)
}
