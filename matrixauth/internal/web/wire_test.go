package web

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

var updateWire = flag.Bool("update-wire", false, "write what each wire says today into the golden files of testdata/wire")

// wireNames name the golden files of the wires.
var wireNames = map[Wire]string{MatrixWire: "matrix", OAuthWire: "oauth", OpenOAuthWire: "oauth_open", PlainWire: "plain", PageWire: "page"}

// TestEveryCodeOnEveryWire compares what each wire says for each code with the golden file of the wire. Each
// answer must have its wire's shape, and none shows a cause.
func TestEveryCodeOnEveryWire(t *testing.T) {
	codes := slices.Sorted(slices.Values(model.Codes))
	for _, wire := range Wires {
		t.Run(wireNames[wire], func(t *testing.T) {
			var got strings.Builder
			for _, code := range codes {
				got.WriteString(goldenAnswers(t, wire, code))
			}
			file := filepath.Join("testdata", "wire", wireNames[wire]+".golden")
			if *updateWire {
				if err := os.WriteFile(file, []byte(got.String()), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// goldenAnswers are the answers with a code alone, and with all else that an error can bring.
func goldenAnswers(t *testing.T, wire Wire, code model.Code) string {
	t.Helper()
	var out strings.Builder
	for _, full := range []bool{false, true} {
		err := wireError(code, full)
		w := httptest.NewRecorder()
		SetHeaders(w.Header(), wire)
		WriteError(w, wire, err)
		body := w.Body.String()
		if strings.Contains(body, "secret cause") || code == model.ServerError && strings.Contains(body, "a text of ours") {
			t.Errorf("%s shows %s", code, body)
		}
		kind := "application/json"
		if wire == PageWire {
			kind = "text/plain; charset=utf-8"
		}
		if w.Code < 400 || w.Code != StatusOf(wire, err) || w.Header().Get("Content-Type") != kind || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", code, w.Code, w.Header())
		}
		if wire != PageWire {
			wantShape(t, wire, code, w.Body.Bytes())
		}
		fmt.Fprintf(&out, "%s %d %s", code, w.Code, strings.TrimSuffix(body, "\n"))
		for _, name := range []string{"Retry-After", "WWW-Authenticate"} {
			if value := w.Header().Get(name); value != "" {
				fmt.Fprintf(&out, " %s: %s", name, value)
			}
		}
		out.WriteString("\n")
		inAddress, text := OAuthError(err)
		if wire == OpenOAuthWire {
			fmt.Fprintf(&out, "  in an address: %s %s\n", inAddress, text)
		}
	}
	if wire == MatrixWire {
		fmt.Fprintf(&out, "  for a person: %s\n", TextOf(code))
	}
	return out.String()
}

// wireError is an error of a code: nothing but that, or one with a text, a wait, a challenge and a cause.
func wireError(code model.Code, full bool) error {
	e := model.NewError(code)
	if full {
		e = model.Errorf(code, "a text of ours").WithRetry(1500 * time.Millisecond).WithChallenge(model.ChallengeBearer)
	}
	return e.WithCause(errors.New("the secret cause"))
}

// TestReplyRows makes sure that there is one row of words for each code, and one for each kind.
func TestReplyRows(t *testing.T) {
	kinds := map[model.Kind]bool{}
	for _, code := range model.Codes {
		kinds[code.Kind()] = true
		if row, ok := codeReplies[code]; !ok || row.text == "" {
			t.Errorf("%s has no words", code)
		}
	}
	if len(codeReplies) != len(model.Codes) || len(kindReplies) != len(kinds) {
		t.Errorf("%d rows for %d codes, %d for %d kinds", len(codeReplies), len(model.Codes), len(kindReplies), len(kinds))
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
		if status := StatusOf(OAuthWire, model.NewError(code)); status < 500 {
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
			MatrixWire, model.NewError(model.RateLimited).WithRetry(1500 * time.Millisecond),
			map[string]string{"Retry-After": "2"}, `{"errcode":"M_LIMIT_EXCEEDED","error":"Too many requests","retry_after_ms":1500}`,
		},
		"a_passing_condition_has_a_wait": {
			MatrixWire, model.NewError(model.TemporarilyDown),
			map[string]string{"Retry-After": "5"}, `"retry_after_ms":5000`,
		},
		"a_locked_user_keeps_the_keys": {MatrixWire, model.NewError(model.UserLocked), nil, `"soft_logout":true`}, // MOD-1
		"an_ended_session_does_not": {
			MatrixWire, model.NewError(model.UnknownToken), map[string]string{"Retry-After": ""}, `{"errcode":"M_UNKNOWN_TOKEN","error":"Unknown access token"}`, // SOFT-3
		},
		"a_text_of_ours_is_shown": {
			MatrixWire, model.Errorf(model.MissingParam, "type is missing"), nil, `"error":"type is missing"`,
		},
		"a_caller_without_the_secret_is_told_how_to_ask": {
			OAuthWire, model.NewError(model.InvalidClient).WithChallenge(model.ChallengeBearer),
			map[string]string{"WWW-Authenticate": `Bearer error="invalid_token"`}, `"error":"invalid_client"`, // INTRO-2
		},
		"a_client_that_used_the_header_is_told_how_to_ask": {
			OpenOAuthWire, model.NewError(model.InvalidClient).WithChallenge(model.ChallengeBasic),
			map[string]string{"WWW-Authenticate": `Basic realm="OAuth 2.0 client", charset="UTF-8"`}, `"error":"invalid_client"`, // CAUTH-4
		},
		"a_client_that_used_the_body_is_not": {
			OpenOAuthWire, model.NewError(model.InvalidClient),
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
