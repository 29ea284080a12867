package operate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestParameters: an operation whose parameters are not understood in whole is not done in part. A command that is newer
// than the server may ask for a dry run of which the server knows nothing.
func TestParameters(t *testing.T) {
	for name, test := range map[string]struct {
		params string
		done   bool
	}{
		"all":                 {`{"user":"alice","erase":true}`, true},
		"some":                {`{"user":"alice"}`, true},
		"one_too_many":        {`{"user":"alice","dry_run":true}`, false},
		"of_another_type":     {`{"user":"alice","erase":4711}`, false},
		"no_json":             {`user=alice`, false},
		"nothing":             {``, false},
		"one_too_many_within": {`{"user":"alice","erase":{"later":true}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			done := false
			table := NewTable(TableConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))}, Bind(DeactivateUser, 0,
				func(context.Context, model.Actor, Deactivation) (User, error) { done = true; return User{}, nil }))
			_, err := table.Perform(t.Context(), model.TheServer(), string(DeactivateUser), []byte(test.params))
			if done != test.done || (err == nil) != test.done {
				t.Errorf("done %v: %v", done, err)
			}
			if err != nil && (!errors.Is(err, model.NotRecognized) || !strings.Contains(err.Error(), "another version")) {
				t.Errorf("the command is told %v", err)
			}
			if strings.Contains(log.String()+fmt.Sprint(err), "4711") {
				t.Errorf("a value is told: %v\n%s", err, log.String())
			}
		})
	}
}

// answering is a server that answers every operation in the same words.
type answering string

func (a answering) Perform(context.Context, string, []byte) ([]byte, error) { return []byte(a), nil }

// TestAnswer: a server of another version may answer in another form, as lists without pages were.
func TestAnswer(t *testing.T) {
	for _, answer := range []answering{`[{"localpart":"alice"}]`, `{"users":4711}`, ``} {
		if _, err := ListUsers.Do(t.Context(), answer, UserQuery{}); err == nil || !strings.Contains(err.Error(), "another version") || strings.Contains(err.Error(), "4711") {
			t.Errorf("the answer %s: %v", answer, err)
		}
	}
}
