package bound

import "time"

// The limits of mails (MAIL-12). A mail that somebody asks for counts against all four.
var (
	// MailsPerNetwork lets a class of pupils register behind one address.
	MailsPerNetwork = Rate{Burst: 30, PerMinute: 2}
	// MailsPerAddress keeps a mailbox from being filled: some tries at once for who waits for a slow server, then six an
	// hour.
	MailsPerAddress = Rate{Burst: 5, PerMinute: 0.1}
	// MailsPerAccount bounds what the holder of an account can have sent to addresses of others.
	MailsPerAccount = Rate{Burst: 10, PerMinute: 0.2}
	// MailsInAll keeps this server from becoming a source of spam, and its owner's provider from closing the account.
	MailsInAll = Rate{Burst: 300, PerMinute: 60}
	// NoticesPerAccount bounds the mails about what happened to one account.
	NoticesPerAccount = Rate{Burst: 10, PerMinute: 0.2}
)

// The bounds of sending.
const (
	// MailTry bounds one try to hand a mail over.
	MailTry = 2 * time.Minute
	// MailDelay is the longest wait between two tries of a mail.
	MailDelay = time.Hour
	// NoticeQuiet is how long after a sign-in in a browser that its holder was told of no app that is approved there is told
	// of as well.
	NoticeQuiet = time.Hour
	// NoticesWaiting bounds the notices of sign-ins to one account that wait for the mail server.
	NoticesWaiting = 20
	// SetAsideMails bounds the mails that were refused for good and are kept: anybody can name an address that is none. The
	// newest stay.
	SetAsideMails = 1000
	// NoticeLife is how long after what happened a notice is still sent.
	NoticeLife = 2 * 24 * time.Hour
)
