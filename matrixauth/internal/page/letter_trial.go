package page

import "time"

// Trial is the mail that an operator sends to see whether mails arrive.
type Trial struct {
	// At is when it was sent.
	At time.Time
}

func (Trial) letter() string { return "trial" }

func trialSamples(now time.Time) []Letter { return []Letter{Trial{At: now}} }
