package page

import "time"

// Recovery is the mail with a link by which somebody who forgot their password sets a new one.
type Recovery struct {
	// MatrixID is the account that it is about.
	MatrixID string
	// Link is the address of the page, with the ticket in it.
	Link string
	// Life is how long the link is good for.
	Life time.Duration
}

func (Recovery) letter() string { return "recovery" }

// Minutes returns the life in minutes.
func (r Recovery) Minutes() int { return int(r.Life.Minutes()) }

func recoveryLetterSamples() []Letter {
	return []Letter{Recovery{MatrixID: "@alice:example.com", Link: "https://matrix.example.com/account/recover/password?ticket=sample", Life: 30 * time.Minute}}
}
