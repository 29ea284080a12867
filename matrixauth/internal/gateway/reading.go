package gateway

import (
	"net/http"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Reading is what the homeserver will find of an access token in a request.
type Reading struct {
	// token is empty if it finds none, or refuses the request by itself.
	token string
	// Release gives back the room that a form takes in memory. It is to be called once the request is
	// over, and is never nil.
	Release func()
}

func nothing() {}

// Read finds the access token that Synapse will find, by the rules of Synapse's own code: the one
// Authorization header, "Bearer" in exactly these letters and one blank; or else the first
// access_token of the form, if a POST has one, or of the query, but not of both. What it cannot tell for certain is an
// Error and never a guess: with a 401 for a token that Synapse does not mean, a client would lose its
// keys; with none for one that it does mean, somebody who is locked would go on. Errors: InvalidParam,
// TooLarge, TemporarilyDown.
//
// A form is read into memory for that, and put back into the request.
func (g *Gateway) Read(r *http.Request) (Reading, error) {
	found := Reading{Release: nothing}
	if r.Method == http.MethodOptions {
		return found, nil
	}
	for _, names := range r.Header["Connection"] {
		if containsFold(names, "authorization") || containsFold(names, "content-type") {
			return found, unreadable("this header cannot be for the next hop alone")
		}
	}
	param, inQuery := web.FirstParam(r.URL.RawQuery, web.TokenParam)
	switch formOf(r) {
	case unclear:
		return found, unreadable("a body of this content type is not taken here")
	case urlencoded:
		form, release, err := g.forms.take(r)
		if err != nil {
			return found, err
		}
		if inForm, ok := web.FirstParam(form, web.TokenParam); ok {
			// Which of two counts depends on the Twisted: what the form says replaces what the query says, but
			// older ones read no form that comes without its length.
			if inQuery {
				release()
				return found, unreadable("the access token must be there once")
			}
			param, inQuery = inForm, true
		}
		found.Release = release
	}
	header := r.Header["Authorization"]
	switch {
	case len(header) == 0:
		found.token = param
		return found, nil
	// Synapse refuses these two itself, unless something on the way picks one of them.
	case len(header) > 1, inQuery:
		found.Release()
		return Reading{Release: nothing}, unreadable("the access token must be there once")
	}
	var err error
	found.token, err = tokenOf(header[0])
	if err != nil {
		found.Release()
		return Reading{Release: nothing}, err
	}
	return found, nil
}

// tokenOf reads an Authorization header. One of another scheme holds no access token.
func tokenOf(header string) (string, error) {
	// On the way to the homeserver the blanks around go.
	scheme, token, found := strings.Cut(strings.Trim(header, " \t"), " ")
	if found && scheme == "Bearer" && token != "" && !strings.Contains(token, " ") {
		return token, nil
	}
	if word := strings.FieldsFunc(header, func(c rune) bool { return c <= ' ' || c == ',' }); len(word) > 0 && strings.EqualFold(word[0], "Bearer") {
		return "", unreadable("the Authorization header must be Bearer and the access token")
	}
	return "", nil
}

func unreadable(text string) error {
	return model.Errorf(model.InvalidParam, "%s", text)
}
