package mail

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// command writes a script in the place of sendmail, which keeps its arguments and what it reads in dir.
func command(t *testing.T, script string) (path, dir string) {
	t.Helper()
	dir = t.TempDir()
	path = filepath.Join(dir, "sendmail")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+strings.ReplaceAll(script, "DIR", dir)), 0o700); err != nil {
		t.Fatal(err)
	}
	return path, dir
}

// TestSendmail: the command gets the addresses as arguments and the message on its input, and nothing of our environment.
func TestSendmail(t *testing.T) {
	t.Setenv("MATRIX_SECRET", "a secret of the service")
	path, dir := command(t, `printf '%s\n' "$@" >DIR/args; env >DIR/env; cat >DIR/input`)
	s := &Sendmail{Origin: testOrigin, Path: path}
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), testMessage); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	if got := read("args"); got != "-i\n-f\nmatrix@example.test\n--\nalice@example.org\n" {
		t.Errorf("the arguments are %q", got)
	}
	if got := read("input"); strings.Contains(got, "\r") || !strings.Contains(got, "To: <alice@example.org>\n") {
		t.Errorf("the input is\n%s", got)
	}
	if got := read("env"); strings.Contains(got, "a secret of the service") {
		t.Error("it sees the environment of the service")
	}
}

// TestSendmailFailures: what the command says by its exit status (sysexits.h).
func TestSendmailFailures(t *testing.T) {
	for status, passes := range map[int]bool{1: true, 64: true, 65: false, 67: false, 68: false, 69: true, 75: true, 77: true, 78: true} {
		path, _ := command(t, fmt.Sprintf("cat >/dev/null; echo the reason >&2; exit %d", status))
		err := (&Sendmail{Origin: testOrigin, Path: path}).Send(t.Context(), testMessage)
		if e := at(t, err); e.Stage != Running || e.Code != status || e.Retryable() != passes || !strings.Contains(err.Error(), "the reason") {
			t.Errorf("%d: %v, passes: %v", status, err, e.Retryable())
		}
	}
	missing := &Sendmail{Origin: testOrigin, Path: "/nowhere/sendmail"}
	if e := at(t, missing.Send(t.Context(), testMessage)); !e.Retryable() || e.Stage != Running {
		t.Errorf("%v", e)
	}
	if missing.Check(t.Context()) == nil {
		t.Error("a command that is not there is well")
	}
}

// TestSendmailHangs: a command that does not end is ended with ctx, and what it says is bounded.
func TestSendmailHangs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path, _ := command(t, "exec sleep 600")
	if e := at(t, (&Sendmail{Origin: testOrigin, Path: path}).Send(ctx, testMessage)); !e.Retryable() {
		t.Errorf("%v", e)
	}
	path, _ = command(t, "cat >/dev/null; yes x | head -c 100000; exit 1")
	if err := (&Sendmail{Origin: testOrigin, Path: path}).Send(t.Context(), testMessage); len(err.Error()) > 3*words {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}
