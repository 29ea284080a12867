package fake

import (
	"encoding/json"
	"net/http"
	"unicode/utf8"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
)

// between is a version between the two at which the fake was compared: below it 1.136.0 counts, from it
// on 1.163.2. What differs is how the body is validated, and `locked` (since 1.150).
var between = homeserver.Version{Major: 1, Minor: 150}

func (s *Synapse) modern() bool { return !s.config.Version.Less(between) }

// kind is the type that Synapse demands of a field. Fields that it does not know it ignores.
type kind int

const (
	text kind = iota
	optionalText
	flag
	optionalFlag
	optionalList
)

type field struct {
	name     string
	kind     kind
	required bool
	// recent fields are ignored before 1.150.
	recent bool
}

// params are the valid parameters of a call; optional ones that were null are absent.
type params map[string]any

func (p params) text(name string) string { v, _ := p[name].(string); return v }
func (p params) flag(name string) bool   { v, _ := p[name].(bool); return v }

// parseBody reads a body as Synapse does, with no regard to its Content-Type.
func (s *Synapse) parseBody(data []byte, fields []field, exclusive [][2]string) (params, map[string]any, *result) {
	var value any
	if !utf8.Valid(data) || json.Unmarshal(data, &value) != nil {
		return nil, nil, refused(http.StatusBadRequest, "M_NOT_JSON", "Content not JSON.")
	}
	body, ok := value.(map[string]any)
	if !ok {
		return nil, nil, refused(http.StatusBadRequest, "M_BAD_JSON", "Content must be a JSON object.")
	}
	p, errcode := s.validate(body, fields, exclusive)
	if errcode != "" {
		return nil, body, refused(http.StatusBadRequest, errcode, "validation errors for PostBody")
	}
	return p, body, nil
}

func refused(status int, errcode, text string) *result {
	r := matrixError(status, errcode, text)
	return &r
}

// validate returns the error code of what is wrong, or none. One error has its own code, several have a
// common one.
func (s *Synapse) validate(body map[string]any, fields []field, exclusive [][2]string) (params, string) {
	for _, pair := range exclusive {
		_, a := body[pair[0]]
		_, b := body[pair[1]]
		if a && b {
			// Whatever their values, and before anything else is looked at.
			return nil, s.version("M_BAD_JSON", "M_INVALID_PARAM")
		}
	}
	p := params{}
	var errcodes []string
	for _, f := range fields {
		if f.recent && !s.modern() {
			continue
		}
		value, present := body[f.name]
		if !present {
			if f.required {
				errcodes = append(errcodes, "M_MISSING_PARAM")
			}
			continue
		}
		if value == nil && (f.kind == optionalText || f.kind == optionalFlag || f.kind == optionalList) {
			continue
		}
		errors := s.mismatch(f.kind, value)
		if len(errors) == 0 {
			p[f.name] = value
		}
		errcodes = append(errcodes, errors...)
	}
	switch len(errcodes) {
	case 0:
		return p, ""
	case 1:
		return nil, errcodes[0]
	}
	return nil, "M_BAD_JSON"
}

// mismatch returns an error code for every fault of a value.
func (s *Synapse) mismatch(k kind, value any) (errcodes []string) {
	switch k {
	case text, optionalText:
		if _, ok := value.(string); !ok {
			return []string{"M_BAD_JSON"}
		}
	case flag, optionalFlag:
		if value == nil {
			return []string{"M_BAD_JSON"}
		}
		if _, ok := value.(bool); !ok {
			return []string{s.version("M_INVALID_PARAM", "M_BAD_JSON")}
		}
	case optionalList:
		list, ok := value.([]any)
		if !ok {
			return []string{"M_BAD_JSON"}
		}
		for _, element := range list {
			if _, ok := element.(string); !ok {
				errcodes = append(errcodes, "M_BAD_JSON")
			}
		}
	}
	return errcodes
}

// version chooses between what 1.136.0 and 1.163.2 say.
func (s *Synapse) version(old, modern string) string {
	if s.modern() {
		return modern
	}
	return old
}
