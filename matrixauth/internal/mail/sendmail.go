package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// DefaultSendmail is where the sendmail command is on most machines.
const DefaultSendmail = "/usr/sbin/sendmail"

// Sendmail sends by the sendmail command of the machine, as Postfix, Exim, OpenSMTPD and msmtp bring one.
type Sendmail struct {
	Origin
	// Path is the whole path of the command.
	Path string
}

// The exit statuses of the command (sysexits.h) that are about the reader or the content.
const (
	exitDataError = 65
	exitNoUser    = 67
	exitNoHost    = 68
)

const (
	// killDelay is how long the command may take to end once it was told to.
	killDelay = 5 * time.Second
	// words bounds what is kept of what the command says, in bytes.
	words = 1024
)

// Send makes a Sender of it. The addresses stand in the arguments, behind what ends options, and none is read from the
// message. No shell sees any of it.
func (s *Sendmail) Send(ctx context.Context, m Message) error {
	msg, err := s.compose(m)
	if err != nil {
		return err
	}
	var content bytes.Buffer
	if _, err := msg.WriteTo(&content); err != nil {
		return fail(Composing, 0, err)
	}
	// The command takes the line ends of the machine.
	input := bytes.ReplaceAll(content.Bytes(), []byte("\r\n"), []byte("\n"))
	command := exec.CommandContext(ctx, s.Path, "-i", "-f", msg.GetFrom()[0].Address, "--", msg.GetTo()[0].Address)
	command.Stdin = bytes.NewReader(input)
	// Secrets of the service stand in its environment.
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	if home := os.Getenv("HOME"); home != "" {
		command.Env = append(command.Env, "HOME="+home) // msmtp's own configuration is there
	}
	command.Dir = "/"
	command.WaitDelay = killDelay
	said := &clipped{}
	command.Stdout, command.Stderr = said, said
	if err := command.Run(); err != nil {
		return s.runError(ctx, err, oneLine(said.String()))
	}
	return nil
}

// Check looks whether the command is there and can be run.
func (s *Sendmail) Check(context.Context) error {
	if _, err := exec.LookPath(s.Path); err != nil {
		return fail(Running, 0, err)
	}
	return nil
}

// runError is why the command failed, with what it said.
func (s *Sendmail) runError(ctx context.Context, err error, said string) error {
	if ctx.Err() != nil {
		return fail(Running, 0, fmt.Errorf("%s took too long", s.Path))
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fail(Running, 0, err)
	}
	if said != "" {
		said = ": " + said
	}
	e := fail(Running, exit.ExitCode(), fmt.Errorf("%s ended with status %d%s", s.Path, exit.ExitCode(), said))
	e.permanent = e.Code == exitDataError || e.Code == exitNoUser || e.Code == exitNoHost
	return e
}

// clipped keeps the beginning of what is written to it.
type clipped struct{ kept bytes.Buffer }

// Write keeps as much of p as there is room for, and takes all.
func (c *clipped) Write(p []byte) (int, error) {
	c.kept.Write(p[:min(len(p), words-c.kept.Len())])
	return len(p), nil
}

// String returns what was kept.
func (c *clipped) String() string { return c.kept.String() }
