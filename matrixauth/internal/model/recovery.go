package model

import "time"

// Recovery is a way back to an account whose password was forgotten. It begins as a request, of which nobody knows yet whether it
// is about an account, and becomes a ticket of one account, by which its holder may set a new password once (MAIL-2).
type Recovery struct {
	// ID is a ULID. Of two the later one is greater.
	ID string
	// UserID is whose account it is about; empty for a request that was not looked up yet.
	UserID string
	// EmailID is the address to which the link goes; empty for a link that an operator asked for.
	EmailID string
	// Asked is what was typed into the form, sealed: it may be a password in the wrong field. It is there until it was
	// looked up.
	Asked []byte
	// Hash is that of the ticket, and Ticket the sealed ticket while its mail waits.
	Hash   TokenHash
	Ticket []byte
	// Language is that of the page on which it was asked for, as a BCP 47 tag.
	Language string
	// IP is where it was asked from; empty for an operator.
	IP        string
	CreatedAt time.Time
	// AcceptedAt is the time at which the mail server took the mail, or an operator was told the link.
	AcceptedAt time.Time
	// ExpiresAt is when it is over. It moves when the mail is accepted.
	ExpiresAt time.Time
	// EndedAt is the time at which it was used or ended for EndReason; zero before.
	EndedAt   time.Time
	EndReason RecoveryEnd
	// UsedBy is the hash of the value of the browser that used it: a form that is sent twice is answered alike.
	UsedBy TokenHash
}

// Ended reports whether the recovery was used or ended. One that expired need not have.
func (r Recovery) Ended() bool { return !r.EndedAt.IsZero() }

// Over reports whether the ticket is worth nothing any more.
func (r Recovery) Over(now time.Time) bool { return r.Ended() || !now.Before(r.ExpiresAt) }

// RecoveryEnd says why a recovery ended. The values are stored.
type RecoveryEnd string

// The ways in which recoveries end.
const (
	// RecoveryUsed is one by which a password was set.
	RecoveryUsed RecoveryEnd = "used"
	// RecoveryReplaced is one that a later request made worthless, or one of an account for which too many were asked.
	RecoveryReplaced RecoveryEnd = "replaced"
	// RecoveryPassword is one of an account whose password was changed meanwhile.
	RecoveryPassword RecoveryEnd = "password_changed"
	// RecoveryAddress is one of an account that lost an address meanwhile.
	RecoveryAddress RecoveryEnd = "address_removed"
	// RecoveryBlocked is one of an account that was locked or deactivated meanwhile.
	RecoveryBlocked RecoveryEnd = "account_blocked"
	// RecoveryWentBack is one from before the database went back in time: it may have been used since.
	RecoveryWentBack RecoveryEnd = "went_back"
)

// NewRecoveryTicket makes a ticket: 190 random bits (MAIL-2).
func NewRecoveryTicket() string { return randomString(base62, 32) }

// IsRecoveryTicket reports whether a text has the form of a ticket. What has not is looked up nowhere.
func IsRecoveryTicket(text string) bool {
	if len(text) != 32 {
		return false
	}
	for _, c := range []byte(text) {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			return false
		}
	}
	return true
}
