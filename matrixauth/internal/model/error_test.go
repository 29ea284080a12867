package model

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// TestAsError: an error has one code on its way to wire, log and metrics, whatever wraps it, and what was given up
// because the client hung up is nobody's fault.
func TestAsError(t *testing.T) {
	gone := fmt.Errorf("the store: %w", context.Canceled)
	for name, c := range map[string]struct {
		err          error
		code         Code
		inconclusive bool
	}{
		"no error":                            {nil, "", false},
		"an error of ours":                    {NewError(UserLocked), UserLocked, false},
		"one that is wrapped":                 {fmt.Errorf("for %w", NewError(UserLocked).WithCause(errors.New("x"))), UserLocked, false},
		"another":                             {errors.New("x"), ServerError, true},
		"a time that is over":                 {context.DeadlineExceeded, ServerError, true},
		"a homeserver that is down":           {NewError(TemporarilyDown).WithCause(context.DeadlineExceeded), TemporarilyDown, false},
		"a client that is gone":               {gone, ClientGone, true},
		"gone while the homeserver was asked": {NewError(TemporarilyDown).WithCause(gone), ClientGone, true},
	} {
		t.Run(name, func(t *testing.T) {
			if Inconclusive(c.err) != c.inconclusive {
				t.Errorf("inconclusive is %v", !c.inconclusive)
			}
			if c.err == nil {
				if AsError(nil) != nil || Result(nil) != "ok" {
					t.Error("nothing went wrong")
				}
				return
			}
			if got := AsError(c.err); got.Code != c.code || Result(c.err) != string(c.code) || c.code == ClientGone && !errors.Is(got, context.Canceled) {
				t.Errorf("got %v", got)
			}
		})
	}
}
