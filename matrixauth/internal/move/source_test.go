package move_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/move"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/operate"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/sqlite"
)

// server is another server whose accounts are taken over, in memory.
type server struct {
	accounts map[string]move.Account
	tokens   []move.RegistrationToken
}

func newServer(accounts ...move.Account) *server {
	s := &server{accounts: map[string]move.Account{}}
	for _, a := range accounts {
		s.set(a)
	}
	return s
}

// set puts an account in the place of one of its localpart.
func (s *server) set(a move.Account) {
	a.Name = model.MatrixID(a.Localpart, house.ServerName)
	s.accounts[a.Localpart] = a
}

// change changes an account.
func (s *server) change(localpart string, f func(*move.Account)) {
	a := s.accounts[localpart]
	f(&a)
	s.set(a)
}

func (s *server) Counts(context.Context) (move.Counts, error) {
	return move.Counts{Users: int64(len(s.accounts))}, nil
}

func (s *server) Accounts(_ context.Context, _ *move.Findings, f func(move.Account) error) error {
	all := make([]move.Account, 0, len(s.accounts))
	for _, a := range s.accounts {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b move.Account) int { return cmp.Compare(a.Name, b.Name) })
	for _, a := range all {
		if err := f(a); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) RegistrationTokens(_ context.Context, _ *move.Findings, f func(move.RegistrationToken) error) error {
	for _, t := range s.tokens {
		if err := f(t); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) Close() error { return nil }

// account is one of the other server with a session on each device, whose token is "syt_" and the names of both.
func account(localpart string, devices ...string) move.Account {
	a := move.Account{Localpart: localpart, CreatedAt: time.Unix(1_600_000_000, 0).UTC(), PasswordHash: bcryptOf(localpart)}
	for _, d := range devices {
		a.Sessions = append(a.Sessions, signIn(localpart, d))
	}
	return a
}

func signIn(localpart, device string) move.Session {
	return move.Session{DeviceID: device, DeviceName: "phone " + device, LastIP: "192.0.2.7", UserAgent: "Element",
		Tokens: []move.Token{{Hash: model.HashToken(tokenOf(localpart, device)), Pair: 1, Used: true}}}
}

func tokenOf(localpart, device string) string { return "syt_" + localpart + "_" + device }

// bcryptOf makes a text in the form of a hash, another one for each name.
func bcryptOf(name string) string {
	return "$2b$12$" + (strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r
		}
		return 'x'
	}, name) + strings.Repeat("a", 53))[:53]
}

// take runs a move, which must go well.
func take(h *house.House, from move.Source) (move.Taken, *move.Findings) {
	h.T.Helper()
	var findings move.Findings
	taken, err := move.Run(context.Background(), from, operate.MoveTarget{Caller: h.Ops}, move.Options{}, &findings)
	h.Must(err)
	return taken, &findings
}

// count returns how often a kind was found.
func count(f *move.Findings, kind move.Kind) int64 {
	for _, found := range f.All() {
		if found.Code == kind.Code {
			return found.Count
		}
	}
	return 0
}

// brought tells what is here of what a move brings, without ids and times, so that two houses can be compared.
func brought(h *house.House) string {
	return sqlite.Dump(h.T, h.File, `(SELECT 'user', u.localpart, u.admin, u.locked_at IS NOT NULL, u.deactivated_at IS NOT NULL, COALESCE(p.hash, '-'), '' FROM users u LEFT JOIN passwords p ON p.user_id = u.id
		UNION ALL SELECT 'email', u.localpart, e.key, '', '', '', '' FROM user_emails e JOIN users u ON u.id = e.user_id
		UNION ALL SELECT 'session', u.localpart, s.device_id, s.device_name, s.scope, s.generation || '/' || s.used_generation || '/' || s.pairs, COALESCE(s.ends_at, '')
			FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.ended_at IS NULL
		UNION ALL SELECT 'token', t.localpart, hex(t.hash), t.kind, t.generation || '/' || t.pair, COALESCE(hex(t.parent), ''), COALESCE(t.expires_at, '') || t.scope || (t.used_at IS NOT NULL)
			FROM tokens t JOIN sessions s ON s.id = t.session_id WHERE s.ended_at IS NULL
		UNION ALL SELECT 'link', u.localpart, l.provider, l.subject, '', '', '' FROM external_links l JOIN users u ON u.id = l.user_id
		UNION ALL SELECT 'other', u.localpart, o.medium, o.address, '', '', '' FROM other_threepids o JOIN users u ON u.id = o.user_id
		UNION ALL SELECT 'waits', localpart, existing, password, email, '', '' FROM registrations WHERE state = 'waiting'
		ORDER BY 1, 2, 3, 4, 5, 6, 7)`)
}

var errKilled = errors.New("killed")

// dying is a target that is killed behind a number of parts.
type dying struct {
	move.Target
	parts int
}

func (d *dying) Take(ctx context.Context, b move.Batch) (move.Done, error) {
	if d.parts--; d.parts < 0 {
		return move.Done{}, errKilled
	}
	return d.Target.Take(ctx, b)
}

func newHouse(t testing.TB) *house.House {
	t.Helper()
	return house.New(t, house.Unlimited)
}

func user(h *house.House, localpart string) matrixauth.User {
	h.T.Helper()
	u, err := matrixauth.ShowUser.Do(context.Background(), h.Ops, matrixauth.Name{User: localpart})
	h.Must(err)
	return u
}

func name(n int) string { return fmt.Sprintf("user%03d", n) }
