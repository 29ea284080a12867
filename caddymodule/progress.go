package caddymodule

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// progress tells how far a long command is: by a bar on a terminal, and elsewhere by a line at each quarter, of which a
// log has the same number however fast the machine is.
type progress struct {
	out io.Writer
	// what is counted.
	what string
	bar  *progressbar.ProgressBar
	// terminal reports whether out is one.
	terminal bool
	quarters int64
	failed   error
}

func newProgress(out io.Writer, what string) *progress {
	file, ok := out.(*os.File)
	return &progress{out: out, what: what, terminal: ok && term.IsTerminal(int(file.Fd()))}
}

// tell takes note of a step.
func (p *progress) tell(at matrixauth.MoveProgress) {
	switch {
	case p.failed != nil || at.Total == 0:
	case p.terminal:
		if p.bar == nil {
			p.bar = newBar(p.out, p.what, at.Total)
		}
		p.bar.ChangeMax64(at.Total)
		p.failed = p.bar.Set64(min(at.Done, at.Total))
	case 4*at.Done/at.Total > p.quarters:
		p.quarters = 4 * at.Done / at.Total
		p.failed = say(p.out, "%s: %d of %d accounts", p.what, at.Done, at.Total)
	}
}

// end leaves the line of a bar, which is full if all went well, and adds to the error of what was done that of telling it.
func (p *progress) end(err error) error {
	if p.bar != nil {
		if err == nil {
			err = p.bar.Finish()
		}
		_, failed := io.WriteString(p.out, "\n")
		err = errors.Join(err, failed)
	}
	return errors.Join(err, p.failed)
}

func newBar(out io.Writer, what string, total int64) *progressbar.ProgressBar {
	const width = 30
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(what), progressbar.OptionSetWidth(width),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("accounts"), progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetRenderBlankState(true))
}
