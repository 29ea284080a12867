package move

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Taken counts what runs did.
type Taken struct {
	// Users are new accounts, UsersChanged those of which something changed, UsersGone those that are deactivated as the
	// other server has them no more, and Unchanged those of which nothing did.
	Users        int64 `json:"users"`
	UsersChanged int64 `json:"users_changed"`
	UsersGone    int64 `json:"users_gone"`
	Unchanged    int64 `json:"unchanged"`
	// Waiting are those that wait for an operator.
	Waiting   int64 `json:"waiting"`
	Passwords int64 `json:"passwords"`
	Emails    int64 `json:"emails"`
	// Sessions are new ones, SessionsChanged those with other tokens, SessionsEnded those that ended there.
	Sessions           int64 `json:"sessions"`
	SessionsChanged    int64 `json:"sessions_changed"`
	SessionsEnded      int64 `json:"sessions_ended"`
	Tokens             int64 `json:"tokens"`
	RegistrationTokens int64 `json:"registration_tokens"`
	// Kept counts what changed there but is kept as it was changed here.
	Kept int64 `json:"kept"`
}

// Add adds the counts of another run.
func (t *Taken) Add(o Taken) {
	t.Users += o.Users
	t.UsersChanged += o.UsersChanged
	t.UsersGone += o.UsersGone
	t.Unchanged += o.Unchanged
	t.Waiting += o.Waiting
	t.Passwords += o.Passwords
	t.Emails += o.Emails
	t.Sessions += o.Sessions
	t.SessionsChanged += o.SessionsChanged
	t.SessionsEnded += o.SessionsEnded
	t.Tokens += o.Tokens
	t.RegistrationTokens += o.RegistrationTokens
	t.Kept += o.Kept
}

// Fingerprint tells two states of an account apart.
func (a Account) Fingerprint() []byte { return digest(a) }

// digest hashes what a value is as JSON. 16 bytes are enough: nobody gains by a collision but in their own account.
func digest(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("move: %v", err)) // plain values alone
	}
	sum := sha256.Sum256(text)
	return sum[:16]
}

// snapshot is what was made of an account when it was taken last: the base of the next merge. It stands in the journal, and
// holds no secret.
type snapshot struct {
	Admin       bool `json:"a,omitempty"`
	Locked      bool `json:"l,omitempty"`
	Deactivated bool `json:"d,omitempty"`
	// Password is a digest of the hash at the other server, and PasswordAt when it was written here, in microseconds.
	Password   []byte `json:"p,omitempty"`
	PasswordAt int64  `json:"t,omitempty"`
	// Emails are digests of the keys of addresses.
	Emails   [][]byte  `json:"e,omitempty"`
	Sessions []seating `json:"s,omitempty"`
	// Registration is the id of the registration that waits for an operator.
	Registration string `json:"r,omitempty"`
}

// seating is a session of a snapshot.
type seating struct {
	// Key is what tells the session from others of the account at the other server.
	Key string `json:"k"`
	// ID is the session here; empty for one that was left.
	ID string `json:"i,omitempty"`
	// Name and Tokens are digests, Pairs how many pairs of tokens the session had.
	Name   []byte `json:"n,omitempty"`
	Tokens []byte `json:"t,omitempty"`
	Pairs  int64  `json:"p,omitempty"`
}

// key tells a session from others of its account: its device, or its token if it has none.
func (s Session) key() string {
	if s.DeviceID != "" || len(s.Tokens) == 0 {
		return "d" + s.DeviceID
	}
	return fmt.Sprintf("t%x", s.Tokens[0].Hash[:16])
}

// seated returns the sessions of a snapshot by what f tells of them. Some bots have thousands.
func (s *snapshot) seated(f func(seating) string) map[string]seating {
	if s == nil {
		return nil
	}
	found := make(map[string]seating, len(s.Sessions))
	for _, one := range s.Sessions {
		found[f(one)] = one
	}
	return found
}

// tokensDigest tells two states of a session's tokens apart, with what they may.
func (s Session) tokensDigest(admin bool) []byte {
	return digest(struct {
		Admin  bool
		EndsAt time.Time
		Tokens []Token
	}{admin, s.EndsAt, s.Tokens})
}

// counters returns how many pairs of tokens a session has, the newest generation and the newest of which a token was used.
func (s Session) counters() (pairs, generation, used int64) {
	for _, t := range s.Tokens {
		pairs, generation = max(pairs, t.Pair), max(generation, t.Generation)
		used = max(used, t.Generation-1) // by the refresh token that minted it
		if t.Used && !t.Refresh {
			used = max(used, t.Generation)
		}
	}
	return pairs, generation, used
}

// rows returns the rows of a session's tokens here, as far as they are not told by the session.
func (s Session) rows(kind model.SessionKind, now time.Time) (rows []model.Token) {
	access, refresh := kind.Tokens()
	for _, t := range s.Tokens {
		row := model.Token{Hash: t.Hash, Kind: access, Generation: t.Generation, Pair: t.Pair, Parent: t.Parent, ExpiresAt: t.ExpiresAt}
		switch {
		case t.Refresh:
			row.Kind = refresh
		case t.Used && !s.LastActiveAt.IsZero() && s.LastActiveAt.Before(now):
			row.UsedAt = s.LastActiveAt
		case t.Used:
			row.UsedAt = now
		}
		rows = append(rows, row)
	}
	return rows
}

// weight returns about how many bytes an account is on its way.
func (a Account) weight() int {
	n := 300 + 150*(len(a.Emails)+len(a.Others)+len(a.Links)+len(a.Terms))
	for _, s := range a.Sessions {
		n += 200 + len(s.DeviceName) + len(s.UserAgent) + 200*len(s.Tokens)
	}
	return n
}

// AllNew returns what taking the account over comes to where nothing is yet.
func (a Account) AllNew() (t Taken) {
	if a.Waiting {
		return Taken{Waiting: 1}
	}
	t.Users, t.Emails, t.Sessions = 1, int64(len(a.Emails)), int64(len(a.Sessions))
	if a.PasswordHash != "" {
		t.Passwords = 1
	}
	for _, s := range a.Sessions {
		t.Tokens += int64(len(s.Tokens))
	}
	return t
}
