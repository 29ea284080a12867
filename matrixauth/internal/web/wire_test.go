package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestEveryCodeOnEveryWire makes sure that no code is without words on any wire, that each answer has
// its wire's shape, and that no cause is ever shown.
func TestEveryCodeOnEveryWire(t *testing.T) {
	tables := map[Wire]map[model.Code]words{MatrixWire: matrixWords, OAuthWire: oauthWords, OpenOAuthWire: oauthWords, PlainWire: oauthWords, PageWire: oauthWords}
	for _, wire := range Wires {
		for _, code := range model.Codes {
			if _, ok := tables[wire][code]; !ok {
				t.Errorf("wire %d has no words for %s", wire, code)
				continue
			}
			w := httptest.NewRecorder()
			SetHeaders(w.Header(), wire)
			WriteError(w, wire, &model.Error{Kind: model.Internal, Code: code, Text: "the text of a fault", Err: errors.New("the secret cause")})
			body := w.Body.String()
			if strings.Contains(body, "secret cause") || strings.Contains(body, "the text of a fault") {
				t.Errorf("%s on wire %d shows %s", code, wire, body)
			}
			kind := "application/json"
			if wire == PageWire {
				kind = "text/plain; charset=utf-8"
			}
			if w.Code < 400 || w.Code != StatusOf(wire, &model.Error{Code: code}) || w.Header().Get("Content-Type") != kind || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s on wire %d: %d %v", code, wire, w.Code, w.Header())
			}
			if wire == PageWire {
				continue
			}
			wantShape(t, wire, code, w.Body.Bytes())
		}
		for code := range tables[wire] {
			found := false
			for _, known := range model.Codes {
				found = found || known == code
			}
			if !found {
				t.Errorf("the words for %s are nobody's", code)
			}
		}
	}
}

func wantShape(t *testing.T, wire Wire, code model.Code, body []byte) {
	t.Helper()
	var document map[string]any
	if err := json.Unmarshal(body, &document); err != nil {
		t.Fatal(err)
	}
	errcode, isMatrix := document["errcode"].(string)
	if isMatrix != (wire == MatrixWire) {
		t.Errorf("%s on wire %d is %s", code, wire, body) // REF-9: no errcode on OAuth's wire
	}
	if isMatrix && !strings.HasPrefix(errcode, "M_") {
		t.Errorf("%s has the errcode %q", code, errcode)
	}
	if message, ok := document["error"].(string); !ok || message == "" {
		t.Errorf("%s on wire %d has no error: %s", code, wire, body)
	}
}

// TestPassingConditionsAreNoClientErrors: a client ends its session, and loses its keys, at a 4xx (REF-8, TOK-23).
func TestPassingConditionsAreNoClientErrors(t *testing.T) {
	for _, code := range []model.Code{model.ServerError, model.TemporarilyDown, model.UserLocked} {
		if status := StatusOf(OAuthWire, &model.Error{Code: code}); status < 500 {
			t.Errorf("%s has status %d", code, status)
		}
	}
	if status := StatusOf(MatrixWire, errors.New("anything that nobody foresaw")); status != http.StatusInternalServerError {
		t.Errorf("an unknown error has status %d", status)
	}
}

func TestWriteError(t *testing.T) {
	for name, test := range map[string]struct {
		wire   Wire
		err    *model.Error
		header map[string]string
		body   string
	}{
		"a_wait_is_told_in_both_ways": { // SOFT-10, LEG-31
			MatrixWire, &model.Error{Kind: model.Limited, Code: model.RateLimited, Retry: 1500 * time.Millisecond},
			map[string]string{"Retry-After": "2"}, `{"errcode":"M_LIMIT_EXCEEDED","error":"Too many requests","retry_after_ms":1500}`,
		},
		"a_passing_condition_has_a_wait": {
			MatrixWire, &model.Error{Kind: model.Unavailable, Code: model.TemporarilyDown},
			map[string]string{"Retry-After": "5"}, `"retry_after_ms":5000`,
		},
		"a_locked_user_keeps_the_keys": {MatrixWire, &model.Error{Code: model.UserLocked}, nil, `"soft_logout":true`}, // MOD-1
		"an_ended_session_does_not": {
			MatrixWire, &model.Error{Code: model.UnknownToken}, map[string]string{"Retry-After": ""}, `{"errcode":"M_UNKNOWN_TOKEN","error":"Unknown access token"}`, // SOFT-3
		},
		"a_text_of_ours_is_shown": {
			MatrixWire, &model.Error{Kind: model.Invalid, Code: model.MissingParam, Text: "type is missing"}, nil, `"error":"type is missing"`,
		},
		"a_caller_without_the_secret_is_told_how_to_ask": {
			OAuthWire, &model.Error{Kind: model.Unauthenticated, Code: model.InvalidClient, Challenge: model.ChallengeBearer},
			map[string]string{"WWW-Authenticate": `Bearer error="invalid_token"`}, `"error":"invalid_client"`, // INTRO-2
		},
		"a_client_that_used_the_header_is_told_how_to_ask": {
			OpenOAuthWire, &model.Error{Kind: model.Unauthenticated, Code: model.InvalidClient, Challenge: model.ChallengeBasic},
			map[string]string{"WWW-Authenticate": `Basic realm="OAuth 2.0 client", charset="UTF-8"`}, `"error":"invalid_client"`, // CAUTH-4
		},
		"a_client_that_used_the_body_is_not": {
			OpenOAuthWire, &model.Error{Kind: model.Unauthenticated, Code: model.InvalidClient},
			map[string]string{"WWW-Authenticate": ""}, `"error":"invalid_client"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			WriteError(w, test.wire, test.err)
			if !strings.Contains(w.Body.String(), test.body) {
				t.Errorf("the body is %s", w.Body)
			}
			for header, want := range test.header {
				if got := w.Header().Get(header); got != want {
					t.Errorf("%s is %q, want %q", header, got, want)
				}
			}
		})
	}
}
