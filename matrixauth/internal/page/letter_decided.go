package page

// DecidedLetter tells somebody whether an operator made the account that they asked for.
type DecidedLetter struct {
	Approved bool
	// Account is the Matrix id.
	Account string
}

func (DecidedLetter) letter() string { return "decided" }

func decidedSamples() []Letter {
	return []Letter{DecidedLetter{Approved: true, Account: "@alice:example.com"}, DecidedLetter{Account: "@alice:example.com"}}
}
