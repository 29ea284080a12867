// Package limit bounds how often something may happen, by class and key, in bounded memory. It does not know what is
// counted, and keeps nothing over a restart.
package limit

import (
	"crypto/sha256"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Rate is how often something may happen.
type Rate = bound.Rate

// Class is a kind of limit. Each has keys of its own, so that keys of one kind, which somebody may make
// cheaply, never push out those of another (ENUM-5).
type Class uint8

// The classes of limits.
const (
	// LoginsByNetwork counts tries to prove a password by the client's network.
	LoginsByNetwork Class = iota
	// LoginsByAccount counts them by the account that they name, for all who come from nowhere known.
	LoginsByAccount
	// LoginsByPlace counts them by an account and a network that it is known to be used from.
	LoginsByPlace
	// LoginsByBrowser counts them by an account and a browser in which it signed in before.
	LoginsByBrowser
	// LoginsInBrowser counts those of a known browser in place of its network's.
	LoginsInBrowser
	// Registrations counts registrations of clients by network.
	Registrations
	// Authorizations counts authorization requests by network.
	Authorizations
	// Exchanges counts exchanges of codes by network.
	Exchanges
	// WrongSecrets counts guesses at the secret shared with the homeserver by network.
	WrongSecrets
	// Refreshes counts refreshes by session.
	Refreshes
	// Renames counts the names that people give their devices and themselves, the pictures that they remove, the
	// addresses that they choose for recovery, and the resets that they allow, by account.
	Renames
	// Names counts the names that people who register ask for, by network.
	Names
	// NewPasswordsByNetwork counts passwords of people who register by network, NewPasswords all of them.
	NewPasswordsByNetwork
	NewPasswords
	// InvitationsByNetwork counts guesses at registration tokens by network, Invitations all of them.
	InvitationsByNetwork
	Invitations
	// NewAccounts counts the accounts that are made or asked for, by network.
	NewAccounts
	// RecoveryTickets counts tickets for recovery that somebody brings, by network.
	RecoveryTickets
	// LinesOfSignIns, LinesOfLimits and LinesOfRequests count lines of the log, about passwords that were wrong,
	// requests that were one too many, and all others, by network or user.
	LinesOfSignIns
	LinesOfLimits
	LinesOfRequests
	// MailsByNetwork, MailsByAddress and MailsByAccount count mails that somebody asked for, by their network, by the
	// address that is to get one, and by the account of who asks; MailsInAll counts them all.
	MailsByNetwork
	MailsByAddress
	MailsByAccount
	MailsInAll
	// NoticesByAccount counts notices of what happened to an account.
	NoticesByAccount

	classes
)

// names are the classes' names in metrics.
var names = [classes]string{
	LoginsByNetwork: "logins_by_network", LoginsByAccount: "logins_by_account", LoginsByPlace: "logins_by_place",
	LoginsByBrowser: "logins_by_browser", LoginsInBrowser: "logins_in_browser", Registrations: "registrations",
	Authorizations: "authorizations", Exchanges: "exchanges", WrongSecrets: "wrong_secrets", Refreshes: "refreshes", Renames: "renames",
	MailsByNetwork: "mails_by_network", MailsByAddress: "mails_by_address", MailsByAccount: "mails_by_account", MailsInAll: "mails_in_all",
	NoticesByAccount: "notices_by_account",
	Names:            "names", NewPasswordsByNetwork: "new_passwords_by_network", NewPasswords: "new_passwords",
	InvitationsByNetwork: "invitations_by_network", Invitations: "invitations", NewAccounts: "new_accounts",
	LinesOfSignIns: "log_lines_of_sign_ins", LinesOfLimits: "log_lines_of_limits", LinesOfRequests: "log_lines_of_requests",
	RecoveryTickets: "recovery_tickets",
}

// String returns the name of a class in metrics.
func (c Class) String() string { return names[c] }

// Limiter limits by class and key. It outlives reloads.
type Limiter struct {
	now func() time.Time
	// fine are the keys of each class, and wide those of the sites that hold many networks.
	fine, wide [classes]table
	// refused counts what each class refused.
	refused [classes]atomic.Uint64
}

// Refused returns how many tries each class has refused.
func (l *Limiter) Refused() map[Class]uint64 {
	counts := make(map[Class]uint64, classes)
	for class := range classes {
		counts[class] = l.refused[class].Load()
	}
	return counts
}

// table is the keys of one class. Its memory is bounded: keys that have recovered are forgotten, and
// beyond bound.RateKeys those idle longest go.
type table struct {
	mu   sync.Mutex
	keys map[string]*bucket
}

type bucket struct {
	limiter *rate.Limiter
	rate    Rate
	seen    time.Time
}

const (
	// maxKey bounds the length of a key, in bytes; a longer one is hashed.
	maxKey = 80
)

// New makes a limiter on a clock.
func New(now func() time.Time) *Limiter { return &Limiter{now: now} }

// Take counts one try of key. If it is one too many it returns RateLimited with the time
// after which the next one is allowed; a try that is refused is not counted.
func (l *Limiter) Take(class Class, key string, r Rate) error {
	_, err := l.fine[class].take(l.now(), key, r)
	l.count(class, err)
	return err
}

func (l *Limiter) count(class Class, err error) {
	if err != nil {
		l.refused[class].Add(1)
	}
}

// siteFactor is how many times the rate of one network a whole site has: it may be one customer, or an
// access provider's customers by the hundred.
const siteFactor = 10

// TakeNetwork is Take by the network of a client's address. An IPv6 address counts for its site too, since
// whoever has a /48 has 65,536 networks in it (ENUM-4).
func (l *Limiter) TakeNetwork(class Class, ip string, r Rate) (err error) {
	defer func() { l.count(class, err) }()
	now := l.now()
	undo, err := l.fine[class].take(now, model.Network(ip), r)
	if err != nil {
		return err
	}
	site := model.Site(ip)
	if site == model.Network(ip) {
		return nil
	}
	if _, err = l.wide[class].take(now, site, Rate{Burst: r.Burst * siteFactor, PerMinute: r.PerMinute * siteFactor}); err != nil {
		undo()
	}
	return err
}

// Forget clears what a key has used up: a success clears the failures before it.
func (l *Limiter) Forget(class Class, key string) {
	t := &l.fine[class]
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.keys, shortened(key))
}

// shortened keeps long keys from taking room.
func shortened(key string) string {
	if len(key) <= maxKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return string(sum[:])
}

// take counts one try. undo undoes it.
func (t *table) take(now time.Time, key string, r Rate) (undo func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keys == nil {
		t.keys = map[string]*bucket{}
	}
	key = shortened(key)
	b := t.keys[key]
	if b == nil || b.rate != r {
		if len(t.keys) >= bound.RateKeys {
			t.sweep(now)
		}
		b = &bucket{limiter: rate.NewLimiter(rate.Limit(r.PerMinute/60), r.Burst), rate: r}
		t.keys[key] = b
	}
	b.seen = now
	reservation := b.limiter.ReserveN(now, 1)
	if !reservation.OK() {
		return nil, limited(time.Minute)
	}
	wait := reservation.DelayFrom(now)
	if wait == 0 {
		return func() { reservation.CancelAt(now) }, nil
	}
	reservation.CancelAt(now)
	return nil, limited(RoundUp(wait))
}

// RoundUp rounds a wait up to whole milliseconds, as wires have no finer ones: a client that waits as it
// was told must not be refused again. What is below a microsecond is the noise of floating point.
func RoundUp(wait time.Duration) time.Duration {
	return (wait + time.Millisecond - time.Microsecond).Truncate(time.Millisecond)
}

func limited(wait time.Duration) error {
	return model.NewError(model.RateLimited).WithRetry(wait)
}

// sweep forgets the keys that have recovered, and if that is not enough those idle longest, a quarter
// of all at once: a flood of new keys must not cost a sweep each.
func (t *table) sweep(now time.Time) {
	for key, b := range t.keys {
		if b.limiter.TokensAt(now) >= float64(b.rate.Burst) {
			delete(t.keys, key)
		}
	}
	const enough = bound.RateKeys * 3 / 4
	if len(t.keys) <= enough {
		return
	}
	idle := slices.SortedFunc(maps.Keys(t.keys), func(a, b string) int { return t.keys[a].seen.Compare(t.keys[b].seen) })
	for _, key := range idle[:len(idle)-enough] {
		delete(t.keys, key)
	}
}
