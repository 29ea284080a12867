package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/fault"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// refused is the answer to a refresh token that mints nothing any more (REF-7).
func refused() error { return model.NewError(model.RefreshRefused) }

// Refresh is a refresh token that was presented.
type Refresh struct {
	Token string
	// Kind is that of the sessions which the asking API refreshes. A token of another kind is refused
	// and harms nothing (LEG-36).
	Kind model.SessionKind
	// ClientID is the client that presents the token, and must be the one that it was given to (REF-1).
	ClientID string
	// Scope narrows what the new access token grants; empty leaves it as it is (SCOPE-14).
	Scope  string
	Source model.Source
}

// Refresh mints a new pair for a refresh token. The pair is durable before it is returned (REF-16). Its errors:
// RefreshRefused for a token that is unknown, of another client or of an ended session; EndedSoftly for one of a session
// that ended softly, which it may have ended itself, and for one that another server gave an end; UserLocked for a locked
// user, whose tokens stay valid (MOD-6);
// InvalidScope for a scope that was not granted; and one of kind Unavailable for a session that refreshes without a
// pause.
func (s *Sessions) Refresh(ctx context.Context, p Refresh) (Tokens, error) {
	if !s.mayRefresh(p) {
		return Tokens{}, refused()
	}
	if err := s.confirmDevice(ctx, p); err != nil {
		return Tokens{}, err
	}
	r := rotation{sessions: s, asked: p, hash: model.HashToken(p.Token), place: s.config.Keys.Network(p.Source.IP)}
	if err := s.config.Store.Update(ctx, r.run); err != nil {
		return Tokens{}, s.noteLost(err, true, p.Source)
	}
	fault.Point("refresh-after-commit")
	if r.answer == nil && s.config.Refreshed != nil {
		s.config.Refreshed(r.userID)
	}
	return r.tokens, r.answer
}

// mayRefresh reports whether a token may be a refresh token of the asking API, judged by its form. Those that another
// server made were all of its login API.
func (s *Sessions) mayRefresh(p Refresh) bool {
	_, kind := p.Kind.Tokens()
	if found, ours := model.ParseToken(p.Token); ours {
		return found == kind
	}
	return p.Kind == model.CompatSession && s.mayKnow(p.Token)
}

// rotation is one refresh on its way through a transaction. What it decides is in answer: a replay
// must be committed although the client is refused.
type rotation struct {
	sessions *Sessions
	asked    Refresh
	hash     model.TokenHash
	// place is the network that asks.
	place model.NetworkMark

	// scope is what the new access token grants; empty for all that the session has.
	scope  string
	userID string
	tokens Tokens
	answer error
	// counted tells that the refresh was counted, and limited that it was one too many.
	counted bool
	limited error
}

// resolveRefresh finds a refresh token and the session that it belongs to, which lives or has ended softly.
func resolveRefresh(tx *store.Tx, hash model.TokenHash) (token model.Token, session model.Session, err error) {
	if token, err = tx.RefreshToken(hash); err != nil {
		return token, session, err
	}
	if session, err = tx.Session(token.SessionID); err != nil {
		return token, session, err
	}
	if _, kind := session.Kind.Tokens(); token.Kind != kind { // the form of a token that another server made tells nothing
		return token, session, model.ErrNotFound
	}
	token.UserID, token.DeviceID, token.Scope, token.ClientID = session.UserID, session.DeviceID, session.Scope, session.ClientID
	return token, session, err
}

func (r *rotation) run(tx *store.Tx) error {
	token, session, err := resolveRefresh(tx, r.hash)
	if errors.Is(err, model.ErrNotFound) {
		token, session, err = r.sessions.findRowless(tx, r.asked.Token)
	}
	if errors.Is(err, model.ErrNotFound) {
		r.answer = refused()
		return nil
	}
	if err != nil {
		return err
	}
	if r.scope, r.answer = r.narrow(session); r.answer != nil {
		return nil
	}
	if session.Ended() {
		r.answer = endedSoftly()
		return nil
	}
	if session.Overdue(tx.Now) {
		r.answer = endedSoftly()
		return r.sessions.End(tx, model.TheServer(), session, model.EndOverdue)
	}
	if token.Expired(tx.Now) { // as none of ours does: its client signs in again
		r.answer = endedSoftly()
		return nil
	}
	written, err := r.sessions.config.Registry.writeUses(tx, session.ID)
	if err != nil {
		return err
	}
	if written {
		// What was just written may have consumed this token.
		if session, err = tx.LiveSession(session.ID); err != nil {
			return err
		}
	}
	if r.answer = r.sessions.mayUse(token); r.answer != nil {
		return nil
	}
	stands, err := standingOf(tx, session, token)
	if err != nil {
		return err
	}
	switch stands.verdict() {
	case replay:
		return r.end(tx, session, model.EndReplay)
	case compare:
		if goes, err := r.compare(tx, session, token, stands.Tidied); err != nil || !goes {
			return err
		}
	}
	if token.Rowless {
		if session, err = r.restore(tx, token); err != nil {
			return err
		}
	}
	return r.mint(tx, session, token)
}

// end ends the session softly.
func (r *rotation) end(tx *store.Tx, session model.Session, reason model.EndReason) error {
	r.answer = endedSoftly()
	return r.sessions.EndStolen(tx, session.ID, reason, r.asked.Source.IP)
}

// twiceLine is the least time between two lines of the log about one session that is refreshed by two parties.
const twiceLine = time.Hour

// compare reports whether a token goes on that has the company of another line of refreshes: it does from where that
// one comes. It may be a second window, or a thief in the owner's own network, so the session is marked. From elsewhere
// it ends the session. A limit comes first, as the comparison reads all tokens of the session.
func (r *rotation) compare(tx *store.Tx, session model.Session, token model.Token, tidied bool) (goes bool, err error) {
	if err := r.count(session.ID); err != nil {
		return false, err
	}
	near, err := r.near(tx, token, tidied)
	if err != nil {
		return false, err
	}
	if !near {
		return false, r.end(tx, session, model.EndApart)
	}
	if tx.Now.Sub(session.TwiceAt).Abs() < twiceLine {
		return true, nil
	}
	tx.AfterCommit(func() {
		r.sessions.count(model.TwiceAtOnce)
		r.sessions.config.Logger.Warn("two parties refresh a session at once, from one network",
			model.LogUser(token.Localpart, r.sessions.config.ServerName, token.UserID), "session_id", session.ID, "client_ip", r.asked.Source.IP)
	})
	return true, tx.NoteTwice(session.ID)
}

// restore writes the row of a token that the database had forgotten, and returns its session as it is then.
func (r *rotation) restore(tx *store.Tx, token model.Token) (model.Session, error) {
	if err := restore(tx, token); err != nil {
		return model.Session{}, err
	}
	session, err := tx.LiveSession(token.SessionID)
	if err != nil {
		return session, err
	}
	tx.AfterCommit(func() { r.sessions.tookRowless(token, token.KnownGeneration) })
	return session, nil
}

// count counts the refresh once, although a transaction may run twice, and returns an error if it is one too many.
func (r *rotation) count(sessionID string) error {
	if !r.counted {
		r.counted, r.limited = true, r.sessions.mayMint(sessionID)
	}
	return r.limited
}

// mayMint bounds how often a session refreshes, as each refresh keeps two rows for an hour. The limit is far above
// what any working client does. A refusal is temporary and changes nothing: the same token works a moment later, so
// that nobody loses a session to a limit (REF-8, TOK-23). A limit must not hide a theft: a consumed token is judged all
// the same.
func (s *Sessions) mayMint(sessionID string) error {
	err := s.config.Limiter.Take(limit.Refreshes, sessionID, s.config.Refreshes)
	if err == nil {
		return nil
	}
	return model.Errorf(model.TemporarilyDown, "this session refreshes too often").WithRetry(model.AsError(err).Retry)
}

// narrow refuses what is not the asking client's to have, and returns the scope that it asks for, in the
// spelling in which it asks: a client that has learned the stable names since its sign-in may use them,
// and finds in the answer what it looks for (SCOPE-3, SCOPE-14). It comes before the token is judged, so
// that nobody can spoil the session of another client.
func (r *rotation) narrow(session model.Session) (scope string, err error) {
	if session.ClientID != r.asked.ClientID {
		return "", refused()
	}
	var kept []string
	for token := range strings.FieldsSeq(r.asked.Scope) {
		if _, _, known := model.FindScope(token); !known {
			continue // left out when it was asked for at first, and so it is now (SCOPE-8)
		}
		if !model.HasScope(session.Scope, token) {
			return "", model.Errorf(model.InvalidScope, "the scope was not granted to this session")
		}
		if !slices.Contains(kept, token) { // a scope is kept with each token, and no client makes it long
			kept = append(kept, token)
		}
	}
	return strings.Join(kept, " "), nil
}

// standingOf reads how a refresh token stands among the tokens of its session.
func standingOf(tx *store.Tx, session model.Session, token model.Token) (stands standing, err error) {
	stands.Now = tx.Now
	if session.UsedGeneration < token.Generation {
		return stands, nil
	}
	if stands.Parted, err = tx.Parted(session, token); err != nil || session.UsedGeneration == token.Generation {
		return stands, err
	}
	if stands.FirstAt, err = tx.GenerationUsedAt(session, token.Generation+1); err != nil {
		return stands, err
	}
	stands.Forgotten = stands.FirstAt.IsZero()
	stands.Tidied = stands.Forgotten && token.Imported // its row stays, but not those of what it minted
	if token.Rowless {
		never, err := neverHad(tx, token.CreatedAt)
		if err != nil {
			return stands, err
		}
		stands.Tidied = !never
	}
	// Rows of what it minted tell that it was consumed although its own is gone.
	stands.Consumed, err = tx.Consumed(session, token)
	return stands, err
}

// activityGrain is the resolution at which a refresh notes activity.
const activityGrain = time.Minute

// life is that of the new access token, which must not outlive a session that has an end.
func (r *rotation) life(tx *store.Tx, session model.Session) time.Duration {
	life := r.sessions.config.AccessLife
	if session.EndsAt.IsZero() {
		return life
	}
	return min(life, session.EndsAt.Sub(tx.Now))
}

// mint makes the successor pair. Its rows say that this token was presented, and when.
func (r *rotation) mint(tx *store.Tx, session model.Session, token model.Token) (err error) {
	if err := r.count(session.ID); err != nil {
		return err
	}
	r.userID = token.UserID
	if r.tokens, err = r.sessions.mintPair(tx, minting{
		session: session, localpart: token.Localpart, parent: &token, life: r.life(tx, session), scope: r.scope, place: r.place,
	}); err != nil {
		return err
	}
	next := token.Generation + 1
	if session.Generation >= next {
		// Not the first of its generation: there may be too many now.
		if err := tx.TrimSiblings(session, next, bound.UnusedPairs); err != nil {
			return err
		}
	}
	moved, err := tx.NoteMove(token.UserID, r.asked.Source.IP, session.LastIP, token.CreatedAt)
	if err != nil || !moved && tx.Now.Sub(session.LastActiveAt).Abs() < activityGrain {
		return err
	}
	return tx.TouchSession(session.ID, tx.Now, r.asked.Source.IP)
}
