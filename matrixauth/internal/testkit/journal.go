package testkit

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"
)

// Journal is an io.Writer that keeps what was logged. It may be used by several goroutines.
type Journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write keeps p. It never fails.
func (j *Journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// String returns what was logged so far.
func (j *Journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// Lines returns the lines of JSON that hold a text, from the byte at mark on.
func (j *Journal) Lines(t testing.TB, mark int, text string) (lines []map[string]any) {
	t.Helper()
	for line := range strings.Lines(j.String()[mark:]) {
		if !strings.Contains(line, text) {
			continue
		}
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		lines = append(lines, fields)
	}
	return lines
}
