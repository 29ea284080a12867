// Package tokenkey has the keys by which tokens prove what they say of themselves: that this server made them, for
// which session and when. It must not decide what a proven token may do.
//
// The keys are in a file of their own beside the database, and in no backup of it: a database that went back in time
// knows by them the tokens that it gave out since. A token has two tags (HMAC-SHA-256). One is by the key alone, the
// other by the key and a seed that only the session's row has: so neither the file nor a database alone makes a token
// for a session that lives.
package tokenkey

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/fault"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// maxFile bounds what is read of a file, in bytes: more than 255 keys have.
const maxFile = 16 << 10

// Path is where the keys of a database lie that no configuration moves.
func Path(database string) string {
	return strings.TrimSuffix(database, filepath.Ext(database)) + ".key"
}

// Fingerprints returns what the keys of a file are known by to its database, without a change to the file or its mode.
// It is fs.ErrNotExist if there is no file.
func Fingerprints(path string) ([]string, error) {
	if info, err := os.Lstat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() { // opening a pipe would wait
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|place.NoFollow, 0)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	keys, err := parse(content, "")
	if err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	var all []string
	for _, k := range keys {
		all = append(all, k.fingerprint)
	}
	return all, nil
}

// Ring has the keys of a database. It is safe for concurrent use. One process has one ring of a file. A nil ring has no
// key: it mints tokens that claim nothing, and knows none.
type Ring struct {
	store      *store.Store
	path       string
	serverName string
	mark       [2]byte

	// keys are those of the file, the newest last: it mints. They are read in the middle of writes to the database,
	// which must not wait for a look at the file that itself writes to the database.
	keys atomic.Pointer[[]*key]

	// looking is held by who looks at the file.
	looking sync.Mutex
	// mu guards what looks found.
	mu sync.Mutex
	// problem is what the last look at the file found; nil if all is well. The keys that were read before stay.
	problem *Error
	// made says that Load made a key although the database knew one: the file was gone.
	made bool
	// mended says that the file was open to others when it was read last.
	mended string
}

// New makes the ring of the keys at path, for tokens of a server. It has no key until Load.
func New(s *store.Store, path, serverName string) *Ring {
	return &Ring{store: s, path: path, serverName: serverName, mark: model.ServerMark(serverName)}
}

// Path is the file of the keys.
func (r *Ring) Path() string { return r.path }

// Error says why the file of the keys cannot be used.
type Error struct {
	Path string
	// What is wrong with the file, in words that go on after the path; Change says what to do.
	What, Change string
	cause        error
}

// Error is one sentence that names the file and what to do.
func (e *Error) Error() string {
	return "the keys of tokens in " + e.Path + ": it " + e.What + "; " + e.Change
}

// Unwrap returns what the system said, if it did.
func (e *Error) Unwrap() error { return e.cause }

// Load reads the file, or makes it if there is none, with the keys that the ring has from before, and has the database
// know its keys. Its error is an *Error, or one of the database; with it the ring keeps the keys that it had. Whoever
// calls it has the database alone.
func (r *Ring) Load(ctx context.Context) error {
	r.looking.Lock()
	defer r.looking.Unlock()
	known, keys, err := r.look(ctx)
	if err != nil {
		return err
	}
	gone := len(keys) == 0
	if gone {
		keys = r.all() // somebody took the file away from a server that runs
	}
	mint := mints(keys, known)
	if !mint {
		r.set(func() { r.made = gone && len(known) > 0 })
		if keys, err = r.added(keys, known); err != nil {
			return r.failed(err)
		}
	}
	written := gone || !mint
	if written {
		if err := r.prepare(keys); err != nil {
			return r.failed(err)
		}
	}
	fault.Point("key-prepared")
	if !noted(keys, known) {
		if err := r.store.Update(ctx, func(tx *store.Tx) error { return note(tx, keys) }); err != nil {
			return fmt.Errorf("the database cannot note its keys: %w", err)
		}
	}
	fault.Point("key-noted")
	if written {
		if err := r.install(); err != nil {
			return r.failed(err)
		}
	}
	r.use(keys)
	return nil
}

// use has the ring go by the keys that were found.
func (r *Ring) use(keys []*key) {
	r.keys.Store(&keys)
	r.set(func() { r.problem = nil })
}

// set changes what looks found.
func (r *Ring) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// look reads what keys the database knows and what the file has.
func (r *Ring) look(ctx context.Context) (known []store.TokenKey, keys []*key, err error) {
	if err := r.store.View(ctx, func(tx *store.Tx) (err error) {
		known, err = tx.TokenKeys()
		return err
	}); err != nil {
		return nil, nil, fmt.Errorf("the database tells nothing of its keys: %w", err)
	}
	if keys, err = r.read(); err != nil {
		return nil, nil, r.failed(err)
	}
	return known, keys, nil
}

func (r *Ring) failed(err error) error {
	problem := &Error{Path: r.path, cause: err}
	if wrong := (*place.Error)(nil); errors.As(err, &wrong) {
		problem.What, problem.Change = wrong.What, wrong.Change
	} else if wrong := (*fileError)(nil); errors.As(err, &wrong) {
		problem.What, problem.Change = wrong.what, wrong.change
	} else {
		problem.What, problem.Change = "cannot be read ("+err.Error()+")", "look at the disk"
	}
	r.set(func() { r.problem = problem })
	return problem
}

// fileError is what is wrong with the content of a file, or with making it.
type fileError struct{ what, change string }

// Error is both in a sentence.
func (e *fileError) Error() string { return e.what + "; " + e.change }

// read reads the keys of the file; none if there is no file.
func (r *Ring) read() ([]*key, error) {
	f, mended, err := place.Open(r.path, os.O_RDONLY, place.Closed)
	r.set(func() { r.mended = mended })
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	keys, err := parse(content, r.serverName)
	if err != nil {
		return nil, &fileError{err.Error(), "put the file back from where you keep it, or take it away to have a new one"}
	}
	return keys, nil
}

// mints reports whether the newest of the keys may mint: the database knows its number for no other key.
func mints(keys []*key, known []store.TokenKey) bool {
	if len(keys) == 0 {
		return false
	}
	newest := keys[len(keys)-1]
	return !slices.ContainsFunc(known, func(k store.TokenKey) bool {
		return k.Number == int64(newest.number) && k.Fingerprint != newest.fingerprint
	})
}

// noted reports whether the database knows a key for the number of each.
func noted(keys []*key, known []store.TokenKey) bool {
	for _, k := range keys {
		if !slices.ContainsFunc(known, func(of store.TokenKey) bool { return of.Number == int64(k.number) }) {
			return false
		}
	}
	return true
}

// added returns keys with a new one, under a number that none had before.
func (r *Ring) added(keys []*key, known []store.TokenKey) ([]*key, error) {
	number := int64(1)
	for _, k := range known {
		number = max(number, k.Number+1)
	}
	for _, k := range keys {
		number = max(number, int64(k.number)+1)
	}
	if number > maxNumber {
		return nil, &fileError{"had 255 keys, and no further one has a number", "use the newest of them"}
	}
	made, err := newKey(byte(number), r.serverName)
	return append(slices.Clone(keys), made), err
}

// A key is written under another name, noted in the database, and put in its place: a file that is there is known to
// its database whenever a process dies, as one of which a database without accounts knows nothing is of another, and
// such a database is not opened. A number is noted only once there is a file to go with it.

// preparedPath is the name under which keys are written first.
func (r *Ring) preparedPath() string { return r.path + ".new" }

// prepare writes the keys for install.
func (r *Ring) prepare(keys []*key) error {
	return r.cannotBeMade(place.Replace(r.preparedPath(), text(keys)))
}

// install puts what prepare wrote in the place of the file, at once.
func (r *Ring) install() error { return r.cannotBeMade(place.Rename(r.preparedPath(), r.path)) }

func (r *Ring) cannotBeMade(err error) error {
	if err == nil {
		return nil
	}
	return &fileError{"cannot be made (" + err.Error() + ")", "let the server's user write to " + filepath.Dir(r.path)}
}

// note has the database know the keys.
func note(tx *store.Tx, keys []*key) error {
	for _, k := range keys {
		if err := tx.NoteTokenKey(store.TokenKey{Number: int64(k.number), Fingerprint: k.fingerprint}); err != nil {
			return err
		}
	}
	return nil
}

// Renew adds a key, which mints from then on. The others go on proving what they made; with leaked they go, and a
// token of theirs is worth what its row says, and nothing once that is lost. The database notes the key in one
// transaction with what record writes of its number. Its errors are those of Load.
func (r *Ring) Renew(ctx context.Context, leaked bool, record func(tx *store.Tx, number int) error) error {
	r.looking.Lock()
	defer r.looking.Unlock()
	known, keys, err := r.look(ctx)
	if err != nil {
		return err
	}
	if keys, err = r.added(keys, known); err != nil {
		return r.failed(err)
	}
	if leaked {
		keys = keys[len(keys)-1:]
	}
	if err := r.prepare(keys); err != nil {
		return r.failed(err)
	}
	if err := r.store.Update(ctx, func(tx *store.Tx) error {
		if err := note(tx, keys); err != nil {
			return err
		}
		return record(tx, int(keys[len(keys)-1].number))
	}); err != nil {
		return err
	}
	if err := r.install(); err != nil {
		return r.failed(err)
	}
	r.use(keys)
	return nil
}

// State is what the last look at the file found.
type State struct {
	// Problem is nil if the keys can be used.
	Problem *Error
	// Made reports whether a key was made although the database knew one: the file was gone, and tokens of before
	// are worth what their rows say.
	Made bool
	// Mended says in a sentence that the file was open to others, and is not any more; empty if it was not.
	Mended string
	// Keys is how many keys there are.
	Keys int
}

// State returns what the last look at the file found.
func (r *Ring) State() State {
	keys := len(r.all())
	r.mu.Lock()
	defer r.mu.Unlock()
	return State{Problem: r.problem, Made: r.made, Mended: r.mended, Keys: keys}
}

// all returns the keys, the newest last.
func (r *Ring) all() []*key {
	if r == nil {
		return nil
	}
	if keys := r.keys.Load(); keys != nil {
		return *keys
	}
	return nil
}

// Mint makes a token of a kind that makes the given claims for a session with the given seed, and is proven by the
// newest key. Without a key it is one that claims nothing and is found by its row alone.
func (r *Ring) Mint(kind model.TokenKind, c model.Claims, seed []byte) string {
	keys := r.all()
	if len(keys) == 0 {
		return model.NewToken(kind)
	}
	with := keys[len(keys)-1]
	c.Key, c.Server = with.number, r.mark
	signed, ok := model.NewClaims(c).SignedBytes(kind)
	if !ok {
		return model.NewToken(kind)
	}
	return model.NewSelfDescribingToken(kind, signed, with.tags(signed, seed))
}

// Standing is what the tags of a token prove.
type Standing int

const (
	// Foreign is a token that claims nothing, or that another server made.
	Foreign Standing = iota
	// Unproven claims that this server made it, and no key that there is proves so.
	Unproven
	// Made was made by this server. Of its session only the session's seed can tell.
	Made
)

// Proof is a token whose claims were looked at.
type Proof struct {
	Standing Standing
	Kind     model.TokenKind
	Claims   model.Claims

	signed []byte
	tags   model.Tags
	by     *key
}

// Check tells what a token proves, without a look at its session.
func (r *Ring) Check(token string) Proof {
	d, ok := model.Describe(token)
	if r == nil || !ok || d.Claims.Server != r.mark {
		return Proof{}
	}
	p := Proof{Standing: Unproven, Kind: d.Kind, Claims: d.Claims, signed: d.Signed, tags: d.Tags}
	for _, k := range r.all() {
		if k.number == d.Claims.Key && equal(k.tags(d.Signed, nil).Made, d.Tags.Made) {
			p.Standing, p.by = Made, k
		}
	}
	return p
}

// Authentic reports whether a token that was made here is of the session with the given seed, which is empty for a
// session of before there were seeds.
func (p Proof) Authentic(seed []byte) bool {
	return p.Standing == Made && equal(p.by.tags(p.signed, seed).Authentic, p.tags.Authentic)
}

func equal(a, b [8]byte) bool { return hmac.Equal(a[:], b[:]) }

// Network marks the network of an address, so that two requests can be told to come from one although nobody can
// tell where that is. It is the empty mark, which is of no network, for an address that is none, or of this machine.
func (r *Ring) Network(ip string) model.NetworkMark {
	address, err := netip.ParseAddr(ip)
	keys := r.all()
	if err != nil || address.Unmap().IsLoopback() || len(keys) == 0 {
		return ""
	}
	return keys[len(keys)-1].network(address)
}
