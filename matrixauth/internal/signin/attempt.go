package signin

import (
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
)

// Limits bound the attempts to prove a password. All doors share them, so that whoever is refused at
// one has not two (PW-13).
type Limits struct {
	Limiter *limit.Limiter
	// PerNetwork is the rate of attempts from one network, PerAccount that of attempts for one account, whether
	// that exists or not (LEG-31, PW-12).
	//
	// A known place has a rate of PerAccount to itself, so that whoever guesses elsewhere keeps nobody
	// out: a network from which the account was used lately, and each browser in which it signed in before.
	// Everybody else shares one. Who sits in a known place has that one, and no share in the others.
	PerNetwork, PerAccount limit.Rate
}

// Attempt is one attempt to prove a password, with where it comes from.
type Attempt struct {
	Identifier user.Identifier
	Password   string
	// IP is the client's address; empty if it is not known.
	IP string
	// UserAgent is what the client calls itself.
	UserAgent string
	// Devices are the values of the browser's device cookie, at most store.MaxBrowserHashes of them. They are
	// a place in the limits and nothing else: no right follows from one.
	Devices []string
	// About is told whose account the attempt is about, if there is one. It is for the log alone: whatever
	// else followed from it would tell who has an account (ENUM-1). It may be nil.
	About func(model.User)
}

func (a Attempt) hashes() []model.TokenHash {
	hashes := make([]model.TokenHash, 0, len(a.Devices))
	for _, value := range a.Devices {
		hashes = append(hashes, model.HashToken(value))
	}
	return hashes
}

// device returns the value of the device cookie that has a hash; empty if none has.
func (a Attempt) device(hash model.TokenHash) string {
	for _, value := range a.Devices {
		if model.HashToken(value) == hash {
			return value
		}
	}
	return ""
}

// takeNetwork counts an attempt for its network. A known browser has the rate of a network to itself: who
// shares a network with strangers, or a proxy whose clients all seem to have one address, is not kept out by
// them where they signed in before. Without any rate that a success does not clear, somebody who knows their
// own password could have hashes and devices made without end.
func (l Limits) takeNetwork(a Attempt, place store.Place) error {
	if place.Browser != (model.TokenHash{}) {
		return l.Limiter.Take(limit.LoginsInBrowser, string(place.Browser[:]), l.PerNetwork)
	}
	return l.Limiter.TakeNetwork(limit.LoginsByNetwork, a.IP, l.PerNetwork)
}

// takeAccount counts an attempt for the account that it names, in the one bucket that is its place's. A
// success is to be told to forgive, which clears that one alone: others' guesses are still counted.
func (l Limits) takeAccount(a Attempt, account string, place store.Place) (forgive func(), err error) {
	class, key := limit.LoginsByAccount, account
	switch {
	case place.Browser != (model.TokenHash{}):
		class, key = limit.LoginsByBrowser, string(place.Browser[:])
	case place.Network:
		class, key = limit.LoginsByPlace, model.Network(a.IP)+" "+account
	}
	return func() { l.Limiter.Forget(class, key) }, l.Limiter.Take(class, key, l.PerAccount)
}
