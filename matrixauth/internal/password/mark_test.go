package password

import (
	"bytes"
	"testing"
)

func TestMark(t *testing.T) {
	if Mark("") != nil {
		t.Error("no pepper has a mark")
	}
	if !bytes.Equal(Mark("one"), Mark("one")) || bytes.Equal(Mark("one"), Mark("other")) {
		t.Error("the mark does not tell peppers apart")
	}
}
