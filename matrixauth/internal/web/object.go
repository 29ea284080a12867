package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// readBody reads a whole body of bounded size. Errors: TooLarge, and ClientGone for a body that broke off, by a
// network that is slow or gone: who sends it again may have more luck, and a refresh that was answered with a 4xx
// would cost its client the session (REF-8).
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bound.RequestBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, model.NewError(model.TooLarge)
	}
	if err != nil {
		return nil, model.Errorf(model.ClientGone, "the request body did not arrive whole; send it again").WithCause(err)
	}
	return body, nil
}

// Object is a JSON object whose members are checked one by one, by their exact names. (encoding/json
// alone would take "PASSWORD" for "password".)
type Object map[string]json.RawMessage

// ReadObject reads a request body that must be a JSON object. The Content-Type does not matter
// (LEG-7). Errors: TooLarge, NotJSON, BadJSON (LEG-8), ClientGone.
func ReadObject(w http.ResponseWriter, r *http.Request) (Object, error) {
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	return ParseObject(body)
}

// ReadOptionalObject is ReadObject where no body at all stands for an empty object, as DELETE is often sent.
func ReadOptionalObject(w http.ResponseWriter, r *http.Request) (Object, error) {
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return Object{}, nil
	}
	return ParseObject(body)
}

// ParseObject parses a JSON object. Text that is not UTF-8 is not JSON (RFC 8259 section 8.1).
func ParseObject(body []byte) (Object, error) {
	if !utf8.Valid(body) || !json.Valid(body) {
		return nil, model.NewError(model.NotJSON)
	}
	var o Object
	if err := json.Unmarshal(body, &o); err != nil || o == nil {
		return nil, model.Errorf(model.BadJSON, "The request body must be a JSON object")
	}
	return o, nil
}

// String returns a member that must be a string; the empty string if it is missing. A NUL byte is
// refused: no identifier, name or password has one, and C libraries below would stop at it.
func (o Object) String(name string) (string, error) {
	raw, present := o.member(name)
	if !present {
		return "", nil
	}
	var value *string
	if err := json.Unmarshal(raw, &value); err != nil || value == nil {
		return "", model.Errorf(model.BadJSON, "%s must be a string", name)
	}
	if strings.ContainsRune(*value, 0) {
		return "", model.Errorf(model.InvalidParam, "%s must not hold a NUL character", name)
	}
	return *value, nil
}

// Bool returns a member that must be a boolean; false if it is missing.
func (o Object) Bool(name string) (bool, error) {
	raw, present := o.member(name)
	if !present {
		return false, nil
	}
	var value *bool
	if err := json.Unmarshal(raw, &value); err != nil || value == nil {
		return false, model.Errorf(model.BadJSON, "%s must be a boolean", name)
	}
	return *value, nil
}

// Strings returns a member that must be an array of strings; nil if it is missing. Each is judged as String judges one.
func (o Object) Strings(name string) ([]string, error) {
	raw, present := o.member(name)
	if !present {
		return nil, nil
	}
	var values []*string
	if err := json.Unmarshal(raw, &values); err != nil {
		return nil, model.Errorf(model.BadJSON, "%s must be an array of strings", name)
	}
	all := make([]string, 0, len(values))
	for _, value := range values {
		if value == nil {
			return nil, model.Errorf(model.BadJSON, "%s must be an array of strings", name)
		}
		if strings.ContainsRune(*value, 0) {
			return nil, model.Errorf(model.InvalidParam, "%s must not hold a NUL character", name)
		}
		all = append(all, *value)
	}
	return all, nil
}

// Object returns a member that must be an object; nil if it is missing.
func (o Object) Object(name string) (Object, error) {
	raw, present := o.member(name)
	if !present {
		return nil, nil
	}
	var value Object
	if err := json.Unmarshal(raw, &value); err != nil || value == nil {
		return nil, model.Errorf(model.BadJSON, "%s must be an object", name)
	}
	return value, nil
}

// Has reports whether a member is there and not null.
func (o Object) Has(name string) bool {
	_, present := o.member(name)
	return present
}

func (o Object) member(name string) (json.RawMessage, bool) {
	raw, present := o[name]
	return raw, present && !bytes.Equal(raw, []byte("null"))
}
