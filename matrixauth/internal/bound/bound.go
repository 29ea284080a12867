// Package bound has the limits that somebody outside can meet: rates, sizes, numbers of rows and lifetimes, as named
// values and nothing else. docs/limits.md lists them, and a test holds that page. Every package may import it; it
// imports nothing, counts nothing, and decides nothing.
package bound

import "time"

// Rate is how often something may happen: Burst times at once, then PerMinute times a minute.
type Rate struct {
	Burst     int
	PerMinute float64
}

// The rates. Those of the configuration are defaults.
var (
	// LoginsPerNetwork and LoginsPerAccount bound tries at passwords. A network may be an office behind one address;
	// an account is one person who mistypes.
	LoginsPerNetwork = Rate{Burst: 20, PerMinute: 12}
	LoginsPerAccount = Rate{Burst: 10, PerMinute: 2}
	// RegistrationsPerNetwork lets a whole office sign in: clients register at every sign-in.
	RegistrationsPerNetwork = Rate{Burst: 60, PerMinute: 20}
	// AuthorizationsPerNetwork bounds requests for authorization.
	AuthorizationsPerNetwork = Rate{Burst: 120, PerMinute: 120}
	// ExchangesPerNetwork bounds exchanges of codes: an office signs in on Monday morning.
	ExchangesPerNetwork = Rate{Burst: 100, PerMinute: 60}
	// RefreshesPerSession is far above what a client needs that refreshes once in the life of an access token, with
	// tabs and processes that race one another.
	RefreshesPerSession = Rate{Burst: 60, PerMinute: 60}
	// RenamesPerAccount is for who names all their devices in one go; the display name, the picture, the address for
	// recovery and resets of cross-signing are counted with them. Each is kept among what happened to the account, from
	// which nobody must push the rest out.
	RenamesPerAccount = Rate{Burst: 30, PerMinute: 0.2}
	// WrongSecretsPerNetwork bounds guesses at the secret shared with the homeserver.
	WrongSecretsPerNetwork = Rate{Burst: 10, PerMinute: 10}
	// TicketsPerNetwork bounds the links for recovery that are opened or used: what scans mail may open one many times.
	TicketsPerNetwork = Rate{Burst: 60, PerMinute: 30}
	// NamesPerNetwork bounds the names that people who register ask for: each asks the homeserver, and tells who is there
	// (ENUM-2).
	NamesPerNetwork = Rate{Burst: 30, PerMinute: 10}
	// NewPasswordsPerNetwork and NewPasswords bound the passwords of people who register, each of which is hashed: of a
	// network, and of all who register together.
	NewPasswordsPerNetwork = Rate{Burst: 20, PerMinute: 6}
	NewPasswords           = Rate{Burst: 120, PerMinute: 60}
	// InvitationsPerNetwork and Invitations bound guesses at registration tokens: an owner may choose a short one.
	InvitationsPerNetwork = Rate{Burst: 10, PerMinute: 5}
	Invitations           = Rate{Burst: 200, PerMinute: 60}
	// AccountsPerNetwork bounds the accounts that are made or asked for: a class room registers at once.
	AccountsPerNetwork = Rate{Burst: 40, PerMinute: 2}
)

// The bounds of what counts and waits.
const (
	// WaitingPerHash is how many callers may wait for each password that is being hashed: not two seconds' worth.
	WaitingPerHash = 64
	// RateKeys bounds the keys that a rate remembers.
	RateKeys = 16384
)

// The sizes of requests, in bytes.
const (
	// RequestBody bounds every body that we read, RequestQuery every query.
	RequestBody  = 64 << 10
	RequestQuery = 16 << 10
	// ForwardedForm bounds a form to the homeserver that is read on its way, ForwardedForms all that are in memory at
	// once. The client API has no forms at all; but tools say of JSON that it is one.
	ForwardedForm  = 1 << 20
	ForwardedForms = 32 << 20
	// State bounds the state of a request for authorization as it is kept: for an hour, and anybody may send one.
	State = 4096
	// ScopeLength bounds a scope: two spellings of a device of 255 fit in easily.
	ScopeLength = 2048
	// Identifier is more than any Matrix id or mail address has.
	Identifier = 512
)

// The sizes of what belongs to accounts.
const (
	// PasswordLeast is the least number of characters of a new password (PW-5, hard floor), PasswordMost the greatest
	// number of bytes of any (PW-4).
	PasswordLeast = 8
	PasswordMost  = 4096
	// Blocklist bounds an operator's list of passwords that are refused, in bytes: it is read whole when a configuration
	// is checked.
	Blocklist = 512 << 20
	// MatrixID is the longest Matrix user id in bytes, sigil and server name included (Matrix appendices, user
	// identifiers).
	MatrixID = 255
	// Email is the longest address that SMTP can carry, in bytes (RFC 5321 section 4.5.3.1.3).
	Email = 254
	// DisplayName is the greatest length of a user's display name, in characters (code points). Synapse refuses a
	// longer one for a user that exists.
	DisplayName = 256
	// RegistrationToken is the greatest length of a registration token, in characters (Client-Server API,
	// m.login.registration_token).
	RegistrationToken = 64
	// TermsVersion is the greatest length of the version of the terms, in characters.
	TermsVersion = 64
	// DeviceName is the greatest length of a device's display name, in characters (code points). A longer one is cut,
	// as Synapse would refuse it and the login with it.
	DeviceName = 100
	// DevicesAtOnce bounds the devices that an app deletes by one request.
	DevicesAtOnce = 200
	// NamingBody bounds the copy of a request that names a device, in bytes.
	NamingBody = 16 << 10
	// ClientText bounds what a client may say of itself, in bytes of a stored column.
	ClientText = 512
)

// The bounds of a registration. They are far above what clients send, and keep one from being a place to store things
// (REG-29).
const (
	// MetadataText is of a name, MetadataURI of an address, in bytes.
	MetadataText = 256
	MetadataURI  = 2048
	// RedirectURIs, Contacts and MetadataValues are numbers; the last is of grant types and of response types.
	RedirectURIs   = 32
	Contacts       = 16
	MetadataValues = 32
	// LocalizedTexts is the number of members in other languages.
	LocalizedTexts = 64
	// Registration is of all together, in bytes: anybody may register, and often.
	Registration = 8 << 10
	// ClientSecretLeast keeps operators from secrets that can be guessed, in characters: guesses are not limited, as
	// the clients of a whole network may come from one address.
	ClientSecretLeast = 16
)

// The rows that are kept of one account.
const (
	// Consents bounds those of a user: whoever has an account could register clients and consent to them without end.
	// The oldest give way, and are asked for again.
	Consents = 100
	// AnsweredRequests bounds the answered requests that are kept of one user.
	AnsweredRequests = 100
	// Events bounds the events of an account, the newest, and those that are no account's: who has an account could
	// sign in and out without end.
	Events = 1000
	// EventsPerPage is how many of them the page shows that tells people what happened to their account.
	EventsPerPage = 25
	// FailedSignIns bounds the networks from which tries to sign in to an account that failed are kept; those of longest
	// ago give way. WaitingFailures bounds what waits in memory to be written, of all accounts.
	FailedSignIns   = 50
	WaitingFailures = 10_000
	// KnownNetworks and KnownBrowsers bound how many an account has; those used longest ago give way.
	KnownNetworks = 32
	KnownBrowsers = 16
	// BrowserAccounts is how many accounts sign in by turns in one browser and are all known there.
	BrowserAccounts = 5
	// UnusedPairs bounds the unused pairs that are kept of one generation of a session (REF-4).
	UnusedPairs = 16
	// KeptPairs is how many of a session's newest pairs keep their access tokens however old they are: by its
	// row alone can an access token of a session that lives be told from one of a session that is over, and
	// a process of an app that slept for hours has an old one (SOFT-3).
	KeptPairs = 32
)

// What is kept of strangers.
const (
	// WaitingRequests bounds the authorization requests that nobody approved, in bytes: some 5,000 of usual size.
	WaitingRequests = 8 << 20
	// UnprovenClients bounds the registrations to which nobody consented, in bytes: some 10,000 of usual size.
	UnprovenClients = 16 << 20
	// ShownRequests bounds the requests of one network that give way last, because a browser was shown their page.
	ShownRequests = 16
	// OpenRegistrations bounds the registrations of accounts that are under way, in bytes: some 3,000 of usual size.
	// OpenRegistrationsOfNetwork is how many of one network there are; the oldest give way.
	OpenRegistrations          = 4 << 20
	OpenRegistrationsOfNetwork = 100
	// WaitingRegistrations bounds the registrations that wait for an operator, in bytes: some 1,500.
	// WaitingRegistrationsOfNetwork is how many of one network there are; beyond it nobody can ask for more.
	WaitingRegistrations          = 2 << 20
	WaitingRegistrationsOfNetwork = 50
	// RefusedTokens bounds the dead tokens that are remembered, RefusedTokensOfNetwork those of one network.
	RefusedTokens          = 4096
	RefusedTokensOfNetwork = 256
)

// The lifetimes.
const (
	// AccessTokenLife is the default, AccessTokenLeast and AccessTokenMost what it can be set to.
	AccessTokenLife  = 5 * time.Minute
	AccessTokenLeast = time.Second
	AccessTokenMost  = 24 * time.Hour
	// RequestLife is how long the user may take to sign in and approve (AUTHZ-23).
	RequestLife = time.Hour
	// CodeLife is how long a client may take to exchange a code: enough for a phone that changes between
	// apps, and for a homeserver that restarts (AUTHZ-14). So long a browser that answers again is sent back
	// with the same answer.
	CodeLife = 5 * time.Minute
	// DoubleSubmit is how long after its use a code may come again without harm: a client that was slow to
	// hear the answer asks twice. It gets nothing, and its session lives on. So long a form for signing in that is
	// sent again, as by a double click, leads to the same session.
	DoubleSubmit = 20 * time.Second
	// RefreshGrace is how long after the first use of a successor a refresh token still mints another: two
	// tabs or two processes of one phone race with the same token (REF-6).
	RefreshGrace = 60 * time.Second
	// ShowTwice is for how long the account page tells that two parties refreshed a session at once.
	ShowTwice = 30 * 24 * time.Hour
	// LivingLine is how long after its last use a line of refreshes counts as one that goes on.
	LivingLine = time.Hour
	// LinePlaces bounds how many of its last places tell a line of refreshes from others.
	LinePlaces = 64
	// ProofLife is how long after giving their password people count as who they are for what must not be
	// done by whoever finds their browser signed in (ACCT-6, SCOPE-13, XS-4).
	ProofLife = 5 * time.Minute
	// ConfirmLife is how long the user of an app has to confirm something by their password (LEG-46).
	ConfirmLife = 15 * time.Minute
	// BrowserIdle ends the session of a browser that is not used, BrowserMost one that is (SESS-4).
	BrowserIdle = 30 * 24 * time.Hour
	BrowserMost = 90 * 24 * time.Hour
	// RegistrationLife is how long a person may take to register (CREATE-5: nothing is reserved meanwhile).
	RegistrationLife = time.Hour
	// ApprovalLife is how long a registration waits for an operator, with its name reserved, and how long afterwards the
	// person can look up what was decided.
	ApprovalLife = 30 * 24 * time.Hour
	// ResetWindow is how long Synapse lets a user's clients replace the cross-signing keys after a reset was allowed.
	ResetWindow = 10 * time.Minute
)

// The ages at which rows go. They are, where it has such rows, those of matrix-authentication-service, so that
// operators who know one know the other.
const (
	KeepEndedSession   = 30 * 24 * time.Hour
	KeepSetAsideJob    = 30 * 24 * time.Hour
	KeepInactiveLastIP = 30 * 24 * time.Hour
	KeepUnusedClient   = 30 * 24 * time.Hour
	// KeepUnprovenClient is for registrations that nobody ever consented to: anybody can make those.
	KeepUnprovenClient = 2 * 24 * time.Hour
	// KeepAnswered is how much longer than its answer a request is kept, to recognise a code that comes again.
	KeepAnswered = 24 * time.Hour
	// KeepKnownNetwork and KeepKnownBrowser are how long a network and a browser are known after they were last used.
	KeepKnownNetwork = 30 * 24 * time.Hour
	KeepKnownBrowser = 90 * 24 * time.Hour
	// KeepEvent is how long an event is kept, and KeepEventSource how long the address and the user agent in it.
	KeepEvent       = 365 * 24 * time.Hour
	KeepEventSource = 30 * 24 * time.Hour
	// KeepFailedSignIns is how long tries to sign in that failed are kept, from the last one of their network.
	KeepFailedSignIns = 30 * 24 * time.Hour
	// KeepExpiredToken is how long an access token is kept after its end once a newer one was used.
	KeepExpiredToken = time.Hour
	// Gaps is how many times are kept in which the database may have forgotten something; of more the oldest two
	// become one.
	Gaps = 1000
	// LostSessions is how many sessions are noted that the database may have forgotten; those seen longest ago give way.
	LostSessions = 10_000
	// KeepConsumedToken is the age to which refresh tokens are kept that were passed twice.
	KeepConsumedToken = time.Hour
)

// Recovery of accounts, and their mail addresses.
const (
	// RecoveryLife is how long the link of a recovery is good for, from when the mail server took its mail: greylisting
	// holds a mail up for longer than people wait (MAIL-2). RecoveryLinkLife is that of a link that an operator asks for,
	// and RecoveryLinkMost the longest that they may ask for.
	RecoveryLife     = 30 * time.Minute
	RecoveryLinkLife = time.Hour
	RecoveryLinkMost = 7 * 24 * time.Hour
	// RecoveryWait is how long a request for recovery waits for a mail server before nobody is sent anything any more.
	RecoveryWait = 4 * time.Hour
	// RecoveriesPerHour is how many links are sent to the addresses of one account in an hour, whichever way it was named. It
	// is more than an address may be sent, so that it is met by who names an account in several ways only.
	RecoveriesPerHour = 8
	// KeepRecovery is how long a recovery is kept after it expired.
	KeepRecovery = 24 * time.Hour
	// EmailsOfUser is how many addresses people may give their account.
	EmailsOfUser = 10
)

// The bounds of what is asked of the homeserver.
const (
	// HomeserverCall bounds one call, the reading of its answer included.
	HomeserverCall = 10 * time.Second
	// LoginAtHomeserver bounds a login's dealings with the homeserver, the wait for its lane included.
	LoginAtHomeserver = 15 * time.Second
	// JobDelay is the longest wait between two tries of a job.
	JobDelay = 5 * time.Minute
	// HomeserverAnswer bounds an answer that is read, DeviceList a list of devices, in bytes: tens of thousands of
	// devices.
	HomeserverAnswer = 1 << 20
	DeviceList       = 16 << 20
	// HeldAnswer bounds what is held of an answer on its way, compressed or not, in bytes. A larger one passes
	// unchanged.
	HeldAnswer = 64 << 10
	// ImportedToken bounds a token of another server that is looked for, in bytes: more than PostgreSQL has Synapse keep
	// of one.
	ImportedToken = 4096
	// RetiredTokens bounds what is remembered of tokens that have just ended. Beyond it a token may live for Synapse's
	// two minutes.
	RetiredTokens = 10_000
)

// The sizes of files and settings.
const (
	// SecretFile bounds a file that holds a secret, in bytes.
	SecretFile = 4096
	// SynapseFile bounds, in bytes, the files of Synapse's configuration. Synapse's own commented sample has about
	// 100 kB.
	SynapseFile = 4 << 20
	// BrandName is more than a line of a narrow page holds, in characters.
	BrandName = 64
	// Logo bounds a picture, which every visitor loads, in bytes.
	Logo = 1 << 20
	// BrandLink bounds an address, in bytes.
	BrandLink = 2048
)
