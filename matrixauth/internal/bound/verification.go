package bound

import "time"

// The bounds of a mail address that is to be proven by a code.
const (
	// CodeTries is how many codes may be tried for one that was mailed (MAIL-7).
	CodeTries = 5
	// CodeMails is how often one code is mailed.
	CodeMails = 5
	// EmailCodeLife is how long a code is worth something after a mail server took the mail with it: mail may take a
	// while.
	EmailCodeLife = 15 * time.Minute
	// VerificationLife is how long an address may take to be proven in all, and a mail to be sent.
	VerificationLife = 24 * time.Hour
	// Verifications is how many are kept; those that began first give way.
	Verifications = 10_000
)
