package edge

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// requestLine is what there is to say of a request that was answered.
type requestLine struct {
	web.Outcome
	route    *route
	method   string
	status   int
	err      error
	clientIP string
	took     time.Duration
	// counted reports whether the lines about a refused token are bounded already, by token.
	counted bool
}

// log writes the one line about a request. Path and query are not in it: the route's name stands for
// them, and neither token nor code can slip in (KEY-6).
func (e *Edge) log(ctx context.Context, l requestLine) {
	level := slog.LevelInfo
	if l.route.Hot && l.status < http.StatusBadRequest {
		level = slog.LevelDebug
	}
	if l.status >= http.StatusInternalServerError && !l.clientGone() {
		level = slog.LevelWarn
	}
	if !e.Logger.Enabled(ctx, level) {
		return
	}
	if level > slog.LevelDebug && !l.counted && !e.Lines.room(l) {
		return
	}
	if l.failedSignIn() {
		e.Logger.LogAttrs(ctx, level, "sign-in failed", e.signInFields(l)...)
		return
	}
	e.Logger.LogAttrs(ctx, level, "request", e.requestFields(l)...)
}

// clientGone reports whether nobody waited for the answer any more. Anybody can hang up, so it is no warning.
func (l requestLine) clientGone() bool {
	return l.err != nil && model.AsError(l.err).Code == model.ClientGone
}

// failedSignIn reports whether a password was tried and refused.
func (l requestLine) failedSignIn() bool {
	if !l.SignIn || l.err == nil {
		return false
	}
	switch model.AsError(l.err).Code {
	case model.InvalidCredentials, model.RateLimited, model.UserLocked, model.UserDeactivated:
		return true
	}
	return false
}

// signInFields returns fields that are the same at every door, in the same order, the address first: other programs
// read them, to keep guessers out. The user is one who exists: what was typed may be a password in the wrong
// field.
func (e *Edge) signInFields(l requestLine) []slog.Attr {
	fields := []slog.Attr{slog.String("client_ip", l.clientIP), slog.String("code", string(model.AsError(l.err).Code))}
	if l.Owner.UserID == "" {
		fields = append(fields, slog.String("user", "unknown"))
	}
	return append(e.owner(fields, l.Owner),
		slog.String("route", l.route.Name), slog.String("method", l.method), slog.Int("status", l.status), slog.Duration("took", l.took))
}

func (e *Edge) requestFields(l requestLine) []slog.Attr {
	fields := e.owner([]slog.Attr{
		slog.String("route", l.route.Name), slog.String("method", l.method), slog.Int("status", l.status),
		slog.String("client_ip", l.clientIP), slog.Duration("took", l.took),
	}, l.Owner)
	if l.err != nil {
		fields = append(fields, slog.String("code", string(model.AsError(l.err).Code)))
		if cause := web.Cause(l.err); cause != nil {
			fields = append(fields, slog.String("cause", cause.Error()))
		}
	}
	return fields
}

// owner adds the user and the device that a request was about, as far as they are known.
func (e *Edge) owner(fields []slog.Attr, o model.Owner) []slog.Attr {
	if o.UserID != "" {
		fields = append(fields, slog.String("user", model.MatrixID(o.Localpart, e.ServerName)), slog.String("user_id", o.UserID))
	}
	if o.DeviceID != "" {
		fields = append(fields, slog.String("device_id", o.DeviceID))
	}
	return fields
}

// Lines bounds the lines about requests, since anybody can make requests. Each network, or each user who has
// proved to be one, has so many; what has no line of its own is counted. A wrong password has more room than
// others and is not crowded out by them: its line is what keeps guessers out. It outlives reloads.
type Lines struct {
	now     func() time.Time
	limiter *limit.Limiter

	mu      sync.Mutex
	omitted map[model.Owner]*omission
}

// omission is the requests of a network or user without lines.
type omission struct {
	network  string
	requests int
	since    time.Time
}

// lineRates are how many lines there are of a kind: for one network or user, and for all whom we do not know.
type lineRates struct {
	class     limit.Class
	each, all limit.Rate
}

var (
	signInLines  = lineRates{limit.LinesOfSignIns, limit.Rate{Burst: 60, PerMinute: 60}, limit.Rate{Burst: 3000, PerMinute: 1000}}
	limitedLines = lineRates{limit.LinesOfLimits, limit.Rate{Burst: 5, PerMinute: 1}, limit.Rate{Burst: 300, PerMinute: 100}}
	otherLines   = lineRates{limit.LinesOfRequests, limit.Rate{Burst: 300, PerMinute: 120}, limit.Rate{Burst: 3000, PerMinute: 1000}}
)

const (
	// maxOmissions bounds the networks and users that are counted by themselves.
	maxOmissions = 64
	// tellOmissions is how long requests are counted before a line tells of them.
	tellOmissions = time.Minute
	// allLines is the key of what all share. It is not an address.
	allLines = "all"
)

// NewLines makes the bounds on a clock.
func NewLines(now func() time.Time) *Lines {
	return &Lines{now: now, limiter: limit.New(now), omitted: map[model.Owner]*omission{}}
}

// room reports whether there is room for the line of a request, and counts the request if not.
func (b *Lines) room(l requestLine) bool {
	rates := otherLines
	switch {
	case l.status == http.StatusTooManyRequests:
		rates = limitedLines
	case l.failedSignIn():
		rates = signInLines
	}
	known := l.Owner
	if l.failedSignIn() {
		known = model.Owner{} // nobody proved to be them
	}
	if b.take(rates, known.UserID, l.clientIP) == nil {
		return true
	}
	b.omit(known, model.Network(l.clientIP))
	return false
}

func (b *Lines) take(rates lineRates, userID, ip string) error {
	if userID != "" {
		return b.limiter.Take(rates.class, userID, rates.each)
	}
	if err := b.limiter.TakeNetwork(rates.class, ip, rates.each); err != nil {
		return err
	}
	return b.limiter.Take(rates.class, allLines, rates.all)
}

// omit counts a request without a line.
func (b *Lines) omit(known model.Owner, network string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	known.DeviceID = ""
	key := known
	if known.UserID == "" {
		key.Localpart = network // which no localpart is like in a key without an id
	}
	one := b.omitted[key]
	if one == nil && len(b.omitted) >= maxOmissions {
		key, network = model.Owner{}, "several"
		one = b.omitted[key]
	}
	if one == nil {
		one = &omission{network: network, since: b.now()}
		b.omitted[key] = one
	}
	one.requests++
}

// Tell writes how many requests had no line, once it is time, or with all at once.
func (b *Lines) Tell(logger *slog.Logger, serverName string, all bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, one := range b.omitted {
		if !all && b.now().Sub(one.since) < tellOmissions {
			continue
		}
		delete(b.omitted, key)
		whose := slog.String("network", one.network)
		if key.UserID != "" {
			whose = model.LogUser(key.Localpart, serverName, key.UserID)
		}
		logger.Info("more requests had no line", whose, "requests", one.requests, "since", one.since)
	}
}
