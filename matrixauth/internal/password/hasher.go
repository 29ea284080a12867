// Package password judges new passwords (Policy), hashes passwords and verifies them (Hasher): argon2id for new ones, and what other servers
// left behind for imported ones (PW-1 to PW-4, PW-7). It bounds how many hashes are made at once,
// because each takes a processor for tens of milliseconds and 19 MiB of memory, and whoever wants may
// ask for one by trying to sign in.
//
// Passwords are hashed in Unicode normalization form NFKC, so that a password typed on another keyboard
// is the same password; Synapse does so too. See RawPrefix for imported hashes that did not.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// The defaults of Config: the first choice of OWASP's recommendations for argon2id (PW-1).
const (
	DefaultMemory      = 19456
	DefaultTime        = 2
	DefaultParallelism = 1
)

const (
	saltLength = 16
	tagLength  = 32
)

var (
	// ErrTooLong refuses a password of more than bound.PasswordMost bytes. No hash was made, whoever the user is.
	ErrTooLong = fmt.Errorf("the password has more than %d bytes", bound.PasswordMost)
	// ErrBusy means that the hash was not made: too many callers wait, or the caller's context ended
	// first, in which case the error wraps its cause too. The same call may succeed later (503).
	ErrBusy = errors.New("too many passwords are being hashed")
	// ErrHash means that a stored hash cannot be verified: it is malformed, of a scheme that is not
	// supported, or asks for more memory or time than is allowed. No password will ever match it.
	ErrHash = errors.New("the stored password hash cannot be verified")
)

// Config sets the scheme of new hashes and the bounds. Zero fields mean the defaults.
type Config struct {
	// Memory, Time and Parallelism are argon2id's m (KiB), t (passes) and p (lanes).
	Memory, Time uint32
	Parallelism  uint8
	// Concurrent is how many hashes are made at once; the default is half of GOMAXPROCS, and one at
	// least: a storm of sign-ins leaves processors to those who are signed in, and less memory waits to be collected.
	Concurrent int
	// Queue is how many callers may wait beyond those; the default is bound.WaitingPerHash for each of them. Negative
	// means that nobody may wait.
	Queue int
	// Observe is told how long each hash took, waiting not included. It is called from many goroutines.
	Observe func(time.Duration)
	// Now is the clock for Observe; the default is time.Now.
	Now func() time.Time
}

// Hasher makes and verifies hashes. It is safe for concurrent use and starts no goroutine.
type Hasher struct {
	current argon2Hash // the scheme of new hashes; salt and tag are of the lengths in force
	observe func(time.Duration)
	now     func() time.Time

	slots   chan struct{}
	queue   int64
	waiting atomic.Int64
	hashes  atomic.Uint64
	refused atomic.Uint64

	// argon2id is argon2.IDKey; tests count and hold it.
	argon2id func(password, salt []byte, time, memory uint32, threads uint8, length uint32) []byte
}

// New makes a Hasher. It panics if the parameters are beyond what Verify accepts, so that no server
// starts that could not verify its own hashes.
func New(c Config) *Hasher {
	if c.Memory == 0 {
		c.Memory = DefaultMemory
	}
	if c.Time == 0 {
		c.Time = DefaultTime
	}
	if c.Parallelism == 0 {
		c.Parallelism = DefaultParallelism
	}
	if c.Concurrent <= 0 {
		c.Concurrent = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if c.Queue == 0 {
		c.Queue = bound.WaitingPerHash * c.Concurrent
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Observe == nil {
		c.Observe = func(time.Duration) {}
	}
	current := argon2Hash{
		variant: "argon2id", memory: c.Memory, time: c.Time, parallelism: c.Parallelism,
		salt: make([]byte, saltLength), tag: make([]byte, tagLength),
	}
	if err := current.check(); err != nil {
		panic(fmt.Sprintf("password.New: %v", err))
	}
	return &Hasher{
		current: current, observe: c.Observe, now: c.Now,
		slots: make(chan struct{}, c.Concurrent), queue: int64(max(0, c.Queue)), argon2id: argon2.IDKey,
	}
}

// Hash hashes a new password and returns the PHC string to store. The password counts in full, however
// long. Errors: ErrTooLong, ErrBusy.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if len(password) > bound.PasswordMost {
		return "", ErrTooLong
	}
	made := h.current
	made.salt = make([]byte, saltLength)
	rand.Read(made.salt) // never fails
	err := h.run(ctx, func() error {
		made.tag = h.key(made, normalize(password))
		return nil
	})
	if err != nil {
		return "", err
	}
	return made.String(), nil
}

// Result is what Verify found.
type Result struct {
	// OK reports whether the password is right.
	OK bool
	// Upgrade reports whether the password is right and its hash should be replaced by one of Hash: it is of
	// another scheme or of other parameters than new ones.
	Upgrade bool
}

// Verify compares a password with a stored hash, at the cost of one hash of the stored scheme. Errors:
// ErrTooLong, ErrBusy, ErrHash; a wrong password is none.
func (h *Hasher) Verify(ctx context.Context, phc, password string) (Result, error) {
	return h.VerifyPeppered(ctx, phc, password, Pepper{})
}

// VerifyPeppered is Verify for a hash that names a pepper, which must be given then.
func (h *Hasher) VerifyPeppered(ctx context.Context, phc, password string, pepper Pepper) (Result, error) {
	if len(password) > bound.PasswordMost {
		return Result{}, ErrTooLong
	}
	stored, err := parse(phc)
	if err != nil {
		return Result{}, err
	}
	if stored.pepper != pepper.ID {
		return Result{}, malformed("it was made with another pepper")
	}
	clear := []byte(password)
	if !stored.raw {
		clear = normalize(password)
	}
	var ok bool
	err = h.run(ctx, func() (err error) {
		ok, err = stored.scheme.verify(h, clear, pepper.Text)
		return err
	})
	if err != nil || !ok {
		return Result{}, err
	}
	return Result{OK: true, Upgrade: stored.raw || !stored.scheme.same(h.current)}, nil
}

// VerifyDummy does the work of verifying a password against a hash of the current scheme and finds it
// wrong. Who checks the password of a user that does not exist, or has none, calls it, so that the time
// taken does not tell who exists (PW-3). A user whose imported hash is of another scheme takes another
// time until it is upgraded. Errors: ErrTooLong, ErrBusy.
func (h *Hasher) VerifyDummy(ctx context.Context, password string) error {
	if len(password) > bound.PasswordMost {
		return ErrTooLong
	}
	return h.run(ctx, func() error {
		_, err := h.current.verify(h, normalize(password), "")
		return err
	})
}

// Stats is what a Hasher has done and is doing.
type Stats struct {
	// Hashes counts the hashes begun, of any scheme; an equal cost shows in it.
	Hashes uint64
	// Refused counts the calls that ended in ErrBusy.
	Refused uint64
	// Running and Waiting are the calls under way.
	Running, Waiting int
}

// Stats returns the current counters.
func (h *Hasher) Stats() Stats {
	return Stats{
		Hashes: h.hashes.Load(), Refused: h.refused.Load(),
		Running: len(h.slots), Waiting: int(h.waiting.Load()),
	}
}

// InTurn does work that takes as much of a processor as a hash and is none, when it is its turn among the hashes. Error:
// ErrBusy, if the work was not done.
func (h *Hasher) InTurn(ctx context.Context, work func()) error {
	if err := h.enter(ctx); err != nil {
		h.refused.Add(1)
		return err
	}
	defer func() { <-h.slots }()
	work()
	return nil
}

// run does the work of one hash when it is its turn. All hashing goes through it.
func (h *Hasher) run(ctx context.Context, work func() error) error {
	if err := h.enter(ctx); err != nil {
		h.refused.Add(1)
		return err
	}
	defer func() { <-h.slots }()
	h.hashes.Add(1)
	start := h.now()
	err := work()
	h.observe(h.now().Sub(start))
	return err
}

// enter takes a slot. Waiting callers get theirs in the order of their coming.
func (h *Hasher) enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrBusy, context.Cause(ctx))
	}
	select {
	case h.slots <- struct{}{}:
		return nil
	default:
	}
	if h.waiting.Add(1) > h.queue {
		h.waiting.Add(-1)
		return ErrBusy
	}
	defer h.waiting.Add(-1)
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrBusy, context.Cause(ctx))
	}
}

// key returns the argon2id tag of a password under the parameters and salt of a hash.
func (h *Hasher) key(a argon2Hash, clear []byte) []byte {
	return h.argon2id(clear, a.salt, a.time, a.memory, a.parallelism, uint32(len(a.tag)))
}

func normalize(password string) []byte { return norm.NFKC.Bytes([]byte(password)) }

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
