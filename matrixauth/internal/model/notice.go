package model

// NoticeKind is what a notice about an account tells. The values are those of the configuration, and stored.
type NoticeKind string

// The kinds of notices.
const (
	// NoticeSignIn is a sign-in in a browser or by an app in which the account was not before.
	NoticeSignIn NoticeKind = "sign_in"
	// NoticePassword is a changed password.
	NoticePassword NoticeKind = "password"
	// NoticeAddressAdded and NoticeAddressRemoved are about the mail addresses of the account.
	NoticeAddressAdded   NoticeKind = "address_added"
	NoticeAddressRemoved NoticeKind = "address_removed"
	// NoticeDeactivated is the end of the account.
	NoticeDeactivated NoticeKind = "deactivated"
)

// NoticeKinds lists every kind.
var NoticeKinds = []NoticeKind{NoticeSignIn, NoticePassword, NoticeAddressAdded, NoticeAddressRemoved, NoticeDeactivated}

// Notice is something that the holder of an account should hear of.
type Notice struct {
	Kind NoticeKind
	// UserID is the account.
	UserID string
	// Language is that of the request, as a BCP 47 tag; empty if there is none, or nobody knows.
	Language string
	// Addresses are who hears of it; empty means all addresses of the account as they are now. What an address is
	// removed from hears of that too (MAIL-8), so its caller names it.
	Addresses []string
	// Agent and App are what a mail about a sign-in says: a browser by words of ours, or that it was an app.
	Agent string
	App   bool
}
