package gateway

import (
	"cmp"
	"context"
	"encoding/hex"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Refusals counts the refusals of each token. Some clients go on with a refused token, a thousand times a second. The
// first refusal of a token is logged and the rest are counted, and a client that was told often enough has to wait.
// Its memory is bounded, also by network, since anybody can invent tokens. It outlives reloads.
type Refusals struct {
	now func() time.Time
	// throttling is true while some token has used up its refusals, so that requests pass without a look.
	throttling atomic.Bool

	mu       sync.Mutex
	tokens   map[model.TokenHash]*refusals
	networks map[string]*networkRefusals
	// all bounds the lines for all networks together, as some have as many networks as they like, and
	// counts for networks that are forgotten.
	all networkRefusals
}

// Refusal is one answer 401 M_UNKNOWN_TOKEN.
type Refusal struct {
	Token model.TokenHash
	// Dead reports whether the token is of our making and can never be live again. No other is told to wait.
	Dead bool
	// Expected reports whether the token has expired and its session lives: clients come with such a one every few
	// minutes and refresh. It is worth no line unless they must be told to wait.
	Expected bool
	// Owner is whose the token was, as far as we know.
	Owner model.Owner
	// IP is the client's address.
	IP string
}

// refusals are those of one token.
type refusals struct {
	Refusal
	network string
	// left are the refusals that it gets before it is told to wait.
	left *rate.Limiter
	seen time.Time
	// told is when a line was last written, and the counts are from since then.
	told             time.Time
	refused, delayed int
	// named reports whether the token has a line of its own in the log, and warned whether its client was told to wait.
	named, warned bool
}

// networkRefusals are the tokens of one network.
type networkRefusals struct {
	tokens int
	lines  *rate.Limiter
	// unlogged counts the refusals that no line of a token tells of.
	unlogged int
	told     time.Time
}

const (
	// A token is refused so many times at once, and then once in this time: a client that comes with it
	// after a pause must be told the truth.
	refusalBurst = 20
	refusalEvery = 30 * time.Second

	// forgetAfter is how long a token is remembered after its last refusal.
	forgetAfter = 15 * time.Minute

	// Lines for first refusals: so many at once and so many a minute, for each network and for all.
	linesBurst, linesPerMinute       = 30, 10
	allLinesBurst, allLinesPerMinute = 300, 100

	// A count is told once the client is quiet for this long, and now and then while it goes on.
	tellQuiet = time.Minute
	tellEvery = 10 * time.Minute
)

// NewRefusals makes the counts on a clock.
func NewRefusals(now func() time.Time) *Refusals {
	return &Refusals{
		now: now, tokens: map[model.TokenHash]*refusals{}, networks: map[string]*networkRefusals{},
		all: networkRefusals{lines: rate.NewLimiter(allLinesPerMinute/60.0, allLinesBurst), told: now()},
	}
}

// Note counts a refusal, and reports whether it is to be logged: the first one of a token is.
func (r *Refusals) Note(n Refusal) (log bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	one := r.tokens[n.Token]
	first := one == nil
	if first {
		one = r.add(n, now)
	}
	one.Dead, one.Expected, one.IP, one.seen = n.Dead, n.Expected, n.IP, now
	if n.Owner != (model.Owner{}) { // who asks later may know less
		one.Owner = n.Owner
	}
	if n.Dead { // else its client has not been told that all is over
		one.left.AllowN(now, 1)
		if one.left.TokensAt(now) < 1 {
			r.throttling.Store(true)
		}
	}
	if first && !n.Expected && r.mayLog(one, now) {
		return true
	}
	one.refused++
	return false
}

// mayLog reports whether there is room in the log for a line about a token.
func (r *Refusals) mayLog(one *refusals, now time.Time) bool {
	if !r.networks[one.network].lines.AllowN(now, 1) || !r.all.lines.AllowN(now, 1) {
		return false
	}
	one.named = true
	return true
}

// Wait reports whether the client of a token must wait, and how long. A token that is not remembered must
// not.
func (r *Refusals) Wait(token model.TokenHash) (wait time.Duration, must bool) {
	if !r.throttling.Load() {
		return 0, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.tokens[token]
	if one == nil || !one.Dead {
		return 0, false
	}
	left := one.left.TokensAt(r.now())
	if left >= 1 {
		return 0, false
	}
	return limit.RoundUp(time.Duration((1 - left) * float64(refusalEvery))), true
}

// Delayed counts a request whose client was told to wait, and reports whether it is to be logged: the
// first one of a token is. It returns whose the token was.
func (r *Refusals) Delayed(token model.TokenHash) (who Refusal, log bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.tokens[token]
	if one == nil {
		return Refusal{}, true
	}
	one.seen = r.now()
	first := !one.warned
	one.warned = true
	if first && r.mayLog(one, one.seen) {
		return one.Refusal, true
	}
	one.delayed++
	return one.Refusal, false
}

// Forget forgets a token: it is live after all.
func (r *Refusals) Forget(token model.TokenHash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one := r.tokens[token]; one != nil {
		r.drop(one)
	}
}

// add makes room for a token that is refused for the first time, and remembers it.
func (r *Refusals) add(n Refusal, now time.Time) *refusals {
	name := model.Network(n.IP)
	if network := r.networks[name]; network != nil && network.tokens >= bound.RefusedTokensOfNetwork {
		r.thin(bound.RefusedTokensOfNetwork*3/4, func(one *refusals) bool { return one.network == name })
	}
	if len(r.tokens) >= bound.RefusedTokens {
		r.thin(bound.RefusedTokens*3/4, func(*refusals) bool { return true })
	}
	network := r.networks[name]
	if network == nil {
		network = &networkRefusals{lines: rate.NewLimiter(linesPerMinute/60.0, linesBurst), told: now}
		r.networks[name] = network
	}
	network.tokens++
	one := &refusals{Refusal: n, network: name, left: rate.NewLimiter(rate.Every(refusalEvery), refusalBurst), told: now}
	r.tokens[n.Token] = one
	return one
}

// thin forgets tokens until no more than keep of those that count are left, a quarter at a time so that
// a flood of new ones does not cost a look at all each. The network that has most gives way first, with
// the tokens that it used longest ago.
func (r *Refusals) thin(keep int, counts func(*refusals) bool) {
	var all []*refusals
	for _, one := range r.tokens {
		if counts(one) {
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(a, b *refusals) int { return b.seen.Compare(a.seen) })
	// rank is how many tokens its network used later.
	rank, later := make(map[*refusals]int, len(all)), map[string]int{}
	for _, one := range all {
		rank[one] = later[one.network]
		later[one.network]++
	}
	slices.SortStableFunc(all, func(a, b *refusals) int { return cmp.Compare(rank[a], rank[b]) })
	for _, one := range all[keep:] {
		r.drop(one)
	}
}

// drop forgets a token, and with the last one of a network the network. What was not told of them is
// counted on.
func (r *Refusals) drop(one *refusals) {
	delete(r.tokens, one.Token)
	network := r.networks[one.network]
	network.take(one)
	if network.tokens--; network.tokens == 0 {
		delete(r.networks, one.network)
		r.all.unlogged += network.unlogged
	}
}

// take has a network count what was not told of a token, and is worth it.
func (n *networkRefusals) take(one *refusals) {
	if !one.Expected || one.warned {
		n.unlogged += one.refused + one.delayed
	}
	one.refused, one.delayed = 0, 0
}

// Tell logs what was counted and is due, or with all everything that is left. It forgets what is over, and
// is to be called every few seconds.
func (r *Refusals) Tell(logger *slog.Logger, serverName string, all bool) {
	for _, s := range r.summaries(all) {
		counts := []slog.Attr{slog.Int("refused", s.refused), slog.Int("told_to_wait", s.delayed)}
		if s.of.Token == (model.TokenHash{}) {
			logger.LogAttrs(context.Background(), slog.LevelInfo, "more requests were refused, with several tokens",
				append([]slog.Attr{slog.String("network", s.network)}, counts...)...)
			continue
		}
		logger.LogAttrs(context.Background(), slog.LevelInfo, "a client went on with a refused token", append(s.of.attrs(serverName), counts...)...)
	}
}

// summary tells of requests that no line of their own told of.
type summary struct {
	// of is whose they were. A summary of a network, or of several if it has no name, has no token.
	of      Refusal
	network string
	// refused is how many were refused since the last line, delayed how many were told to wait.
	refused, delayed int
}

// attrs returns whose a token was, and if nobody knows any more, by what it can be told from others: the
// beginning of the hash that we store of tokens gives nothing away.
func (n Refusal) attrs(serverName string) []slog.Attr {
	attrs := []slog.Attr{slog.String("client_ip", n.IP)}
	if n.Owner == (model.Owner{}) {
		return append(attrs, slog.String("token_hash", hex.EncodeToString(n.Token[:4])))
	}
	return append(attrs, model.LogUser(n.Owner.Localpart, serverName, n.Owner.UserID), slog.String("device_id", n.Owner.DeviceID))
}

func (r *Refusals) summaries(all bool) (out []summary) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, throttling := r.now(), false
	due := func(told, seen time.Time) bool {
		return all || now.Sub(told) >= tellEvery || now.Sub(seen) >= tellQuiet
	}
	for _, one := range r.tokens {
		if !one.named && (!one.Expected || one.warned) {
			r.networks[one.network].take(one)
		}
		if one.named && one.refused+one.delayed > 0 && due(one.told, one.seen) {
			out = append(out, summary{of: one.Refusal, refused: one.refused, delayed: one.delayed})
			one.told, one.refused, one.delayed = now, 0, 0
		}
		if now.Sub(one.seen) >= forgetAfter {
			r.drop(one)
			continue
		}
		throttling = throttling || one.Dead && one.left.TokensAt(now) < 1
	}
	for name, network := range r.networks {
		if network.unlogged == 0 || !due(network.told, now) {
			continue
		}
		if r.all.lines.AllowN(now, 1) {
			out = append(out, summary{network: name, refused: network.unlogged})
		} else {
			r.all.unlogged += network.unlogged
		}
		network.told, network.unlogged = now, 0
	}
	if r.all.unlogged > 0 && due(r.all.told, now) {
		out = append(out, summary{refused: r.all.unlogged})
		r.all.told, r.all.unlogged = now, 0
	}
	r.throttling.Store(throttling)
	return out
}
