package web

import (
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// ReadForm reads a form from the body alone, never from the query (TOK-1). Its values are single:
// a repeated parameter is refused, so that no two readers can differ about it (HTTP-10). Errors:
// UnsupportedContent, TooLarge, InvalidParam, ClientGone.
func ReadForm(w http.ResponseWriter, r *http.Request) (map[string]string, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, model.NewError(model.UnsupportedContent).WithCause(err)
	}
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	return single(string(body))
}

// ReadQuery reads the query of an address by the rules of ReadForm. Errors: TooLarge, InvalidParam.
func ReadQuery(r *http.Request) (map[string]string, error) {
	if len(r.URL.RawQuery) > bound.RequestQuery {
		return nil, model.NewError(model.TooLarge)
	}
	return single(r.URL.RawQuery)
}

func single(text string) (map[string]string, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, model.Errorf(model.InvalidParam, "the form cannot be read").WithCause(err)
	}
	form := make(map[string]string, len(values))
	for name, all := range values {
		if len(all) > 1 {
			return nil, model.Errorf(model.InvalidParam, "a parameter is repeated")
		}
		form[name] = strings.ToValidUTF8(all[0], "\uFFFD")
	}
	return form, nil
}
