package web

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Rate is how often something may happen: Burst times at once, then PerMinute times a minute.
type Rate struct {
	Burst     int
	PerMinute float64
}

// Limiter limits by key. Its memory is bounded: keys that have recovered are forgotten, and beyond
// maxKeys those idle longest go. It outlives reloads.
type Limiter struct {
	now func() time.Time

	mu   sync.Mutex
	keys map[string]*bucket
}

type bucket struct {
	limiter *rate.Limiter
	rate    Rate
	seen    time.Time
}

// maxKeys bounds the keys of a limiter.
const maxKeys = 16384

// NewLimiter makes a limiter on a clock.
func NewLimiter(now func() time.Time) *Limiter {
	return &Limiter{now: now, keys: map[string]*bucket{}}
}

// Take counts one try of key. If it is one too many it gives an Error of kind Limited with the time
// after which the next one is allowed.
func (l *Limiter) Take(key string, r Rate) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	b := l.keys[key]
	if b == nil || b.rate != r {
		if len(l.keys) >= maxKeys {
			l.sweep(now)
		}
		b = &bucket{limiter: rate.NewLimiter(rate.Limit(r.PerMinute/60), r.Burst), rate: r}
		l.keys[key] = b
	}
	b.seen = now
	reservation := b.limiter.ReserveN(now, 1)
	if !reservation.OK() {
		return &model.Error{Kind: model.Limited, Code: model.RateLimited, Retry: time.Minute}
	}
	wait := reservation.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	reservation.CancelAt(now)
	// Up to whole milliseconds, as wires have no finer ones: who waits as told must not be refused
	// again. What is below a microsecond is the noise of the limiter's floating point.
	wait = (wait + time.Millisecond - time.Microsecond).Truncate(time.Millisecond)
	return &model.Error{Kind: model.Limited, Code: model.RateLimited, Retry: wait}
}

// Forgive forgets what a key has used up: a success clears the failures before it.
func (l *Limiter) Forgive(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.keys, key)
}

// sweep forgets the keys that have recovered, and if that is not enough those idle longest, a quarter
// of all at once: a flood of new keys must not cost a sweep each.
func (l *Limiter) sweep(now time.Time) {
	for key, b := range l.keys {
		if b.limiter.TokensAt(now) >= float64(b.rate.Burst) {
			delete(l.keys, key)
		}
	}
	const enough = maxKeys * 3 / 4
	if len(l.keys) <= enough {
		return
	}
	idle := slices.SortedFunc(maps.Keys(l.keys), func(a, b string) int { return l.keys[a].seen.Compare(l.keys[b].seen) })
	for _, key := range idle[:len(idle)-enough] {
		delete(l.keys, key)
	}
}

// Network is the key by which a client address is limited: an IPv4 address, or the /64 of an IPv6
// one, as a customer gets a whole /64 (ENUM-4).
func Network(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return ip
	}
	return prefix.String()
}
