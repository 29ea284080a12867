package web

import (
	"testing"
	"time"
)

// TestReceipt: a receipt counts in the browser that it was made for, about what it was made for, and
// until when it was made.
func TestReceipt(t *testing.T) {
	const value, other = "0123456789abcdefghijABCDEFGHIJ", "0123456789abcdefghijABCDEFGHIK"
	until := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	receipt := Receipt(value, "reset", until)
	if got, ok := ReadReceipt(value, "reset", receipt); !ok || !got.Equal(until) {
		t.Errorf("got %v, %v", got, ok)
	}
	for name, c := range map[string][3]string{
		"another browser": {other, "reset", receipt}, "another thing": {value, "other", receipt}, "no browser": {"", "reset", Receipt("", "reset", until)},
		"a later end": {value, "reset", "9" + receipt}, "no time": {value, "reset", receipt[10:]}, "nothing": {value, "reset", ""}, "a flag": {value, "reset", "1"},
		"a time alone": {value, "reset", receipt[:10]}, "cut short": {value, "reset", receipt[:len(receipt)-1]},
	} {
		if _, ok := ReadReceipt(c[0], c[1], c[2]); ok {
			t.Errorf("%s counts", name)
		}
	}
}
