package house

import (
	"fmt"
	"strconv"
	"testing"
)

// Logged lists the lines of the log that hold a text, from the byte at mark on.
func (h *House) Logged(mark int, text string) []map[string]any {
	h.T.Helper()
	return h.Log.Lines(h.T, mark, text)
}

// LineWith returns the one line of the log with a message, from the byte at mark on.
func (h *House) LineWith(mark int, msg string) map[string]any {
	h.T.Helper()
	var found []map[string]any
	for _, line := range h.Logged(mark, strconv.Quote(msg)) {
		if line["msg"] == msg {
			found = append(found, line)
		}
	}
	if len(found) != 1 {
		h.T.Fatalf("%d lines %q:\n%s", len(found), msg, h.Log.String()[mark:])
	}
	return found[0]
}

// WantFields checks some fields of a line of the log.
func WantFields(t testing.TB, line, want map[string]any) {
	t.Helper()
	for key, value := range want {
		if fmt.Sprint(line[key]) != fmt.Sprint(value) {
			t.Errorf("%s is %v, want %v, in %v", key, line[key], value, line)
		}
	}
}
