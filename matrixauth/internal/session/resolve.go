package session

import (
	"errors"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// unknownToken is the answer to every access token that grants nothing, whatever the reason.
func unknownToken() error { return model.NewError(model.UnknownToken) }

// Access finds a live access token and notes that it was used. Its errors are those of Peek. It says
// nothing about the lock of its user: ask the registry.
func (s *Sessions) Access(token string) (model.Token, error) {
	t, err := s.Peek(token)
	if err != nil {
		return t, err
	}
	now := s.config.Store.Now()
	if t.UsedAt.IsZero() && s.config.Registry.noteUse(t, now) && t.Rowless {
		s.tookRowless(t, t.KnownGeneration)
	}
	s.config.Registry.noteActivity(t.SessionID, now)
	return t, nil
}

// Peek finds a live access token without noting any use. Its errors are those of Unexpired, and one of kind Unavailable
// for one of which only its row, which the database has forgotten, says what it may.
func (s *Sessions) Peek(token string) (model.Token, error) {
	t, err := s.Unexpired(token)
	if err == nil && t.Narrowed {
		return model.Token{}, lost()
	}
	return t, err
}

// Unexpired finds a live access token, whatever it may: it is enough to sign out. Its errors: ExpiredToken for one that
// has expired and whose session lives or has ended softly, so that nobody tells its client that all is over (SOFT-3);
// one of kind Unavailable for one whose session the database may have forgotten, and EndedSoftly once that has ended;
// UnknownToken for any other.
func (s *Sessions) Unexpired(token string) (model.Token, error) {
	t, err := s.Owner(token)
	if err == nil && t.Expired(s.config.Store.Now()) {
		return model.Token{}, model.NewError(model.ExpiredToken)
	}
	return t, err
}

// Owner finds the row of an access token of a session that lives, or that ended softly, expired or not: it tells whose
// it is, and is not a proof that it may be used.
func (s *Sessions) Owner(token string) (model.Token, error) {
	if kind, ours := model.ParseToken(token); ours && kind.Refresh() {
		return model.Token{}, unknownToken()
	}
	t, err := s.Find(token)
	if err == nil && t.Kind.Refresh() { // of another server, whose tokens do not tell by their form
		return model.Token{}, unknownToken()
	}
	return t, err
}

// Find finds the row of a token of a session that lives, or that ended softly, access or refresh token, of whatever kind
// and however old: its bearer may revoke it (REV-2, REV-5, REV-6, AMB-14). A result does not mean that the token may be
// used. Tokens of a session that ended softly have expired.
func (s *Sessions) Find(token string) (model.Token, error) {
	if !s.mayKnow(token) {
		return model.Token{}, unknownToken()
	}
	t, err := s.config.Store.Token(model.HashToken(token))
	if errors.Is(err, model.ErrNotFound) {
		return s.withoutRow(token)
	}
	return t, err
}

// Now returns the present time by the clock by which tokens expire.
func (s *Sessions) Now() time.Time { return s.config.Store.Now() }

// Watchful reports whether MayPass may refuse anybody at present. It costs two atomic loads.
func (s *Sessions) Watchful() bool { return s.config.Registry.watchful() }

// Retired finds a token whose session ended so recently that the homeserver may not know yet, and says
// whose it was.
func (s *Sessions) Retired(hash model.TokenHash) (who model.Owner, found bool) {
	as, found := s.config.Registry.retiredToken(hash)
	return as.owner, found
}

// MayPass judges a request that goes on to the homeserver with an access token. Its errors: UnknownToken
// for a token of a session that ended a moment ago, which the homeserver may still honour from memory
// (REV-9), and ExpiredToken if it ended softly; UserLocked for one of a locked user, expired or not, as its client would
// go on to refresh and should learn the reason (MOD-1); and that of a store that cannot be read. Any other token passes,
// known or not: the homeserver judges it. The owner is told with the refusal of a session and with UserLocked.
func (s *Sessions) MayPass(token string) (model.Owner, error) {
	if as, retired := s.config.Registry.retiredBearer(token); retired {
		if as.soft {
			return as.owner, model.NewError(model.ExpiredToken)
		}
		return as.owner, unknownToken()
	}
	if !s.config.Registry.anyLocked() {
		return model.Owner{}, nil
	}
	t, err := s.Owner(token)
	if errors.Is(err, model.UnknownToken) || errors.Is(err, model.EndedSoftly) || isLostImport(err) {
		return model.Owner{}, nil
	}
	if err != nil {
		return model.Owner{}, err
	}
	if err := s.mayUse(t); err != nil {
		return t.Owner(), err
	}
	return model.Owner{}, nil
}

// mayUse refuses a token of a locked user, with an Error of code UserLocked. The token stays valid, but grants nothing
// until the user is unlocked.
func (s *Sessions) mayUse(t model.Token) error {
	if s.config.Registry.isLocked(t.UserID) {
		return model.NewError(model.UserLocked)
	}
	return nil
}

// Introspect finds the live access token that the homeserver asks about, an internal one among them, and
// notes its use. Its errors are those of Peek, and UserLocked for the token of a locked user: "inactive" would
// have the homeserver log the client out, upon which it destroys its keys (MOD-3, MOD-4). What we ask
// ourselves by an internal token is about locked users too.
func (s *Sessions) Introspect(token string) (model.Token, error) {
	if kind, _ := model.ParseToken(token); kind == model.InternalAccess {
		return s.config.Registry.findInternal(token)
	}
	t, err := s.Access(token)
	if err == nil {
		err = s.mayUse(t)
	}
	return t, s.noteLost(err, false, model.Source{})
}

// IntrospectOwn finds a live token, of either kind, that a client asks about and that was given to it
// (INTRO-9). Its errors: UnknownToken for any other, and UserLocked.
func (s *Sessions) IntrospectOwn(token, clientID string) (model.Token, error) {
	t, err := s.Find(token)
	if isLostImport(err) || err == nil && (t.ClientID != clientID || t.Expired(s.Now())) {
		err = unknownToken()
	}
	if err == nil && t.Narrowed {
		err = lost()
	}
	if err == nil {
		err = s.mayUse(t)
	}
	return t, s.noteLost(err, false, model.Source{})
}
