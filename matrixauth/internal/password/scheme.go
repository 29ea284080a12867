package password

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// The bounds of stored hashes. Whoever can write a hash must not be able to stop the server with it:
// each takes some seconds at the most.
const (
	maxMemory      = 1 << 20 // KiB, 1 GiB
	maxTime        = 64
	maxWork        = 4 << 20 // KiB times passes
	maxParallelism = 64
	maxBcryptCost  = 16
	maxIterations  = 10_000_000
	minSalt        = 8
	maxSalt        = 64
	minTag         = 16
	maxTag         = 64
)

// scheme is a parsed hash.
type scheme interface {
	// verify makes one hash and compares. It is called by run. The pepper is empty but for bcrypt.
	verify(h *Hasher, clear []byte, pepper string) (bool, error)
	// same reports whether new hashes are of this scheme and these parameters.
	same(current argon2Hash) bool
}

// argon2Hash is a hash of argon2id or argon2i, version 1.3 (RFC 9106).
type argon2Hash struct {
	variant      string
	memory, time uint32
	parallelism  uint8
	salt, tag    []byte
}

func (a argon2Hash) verify(h *Hasher, clear []byte, _ string) (bool, error) {
	if a.variant == "argon2i" {
		return equal(argon2.Key(clear, a.salt, a.time, a.memory, a.parallelism, uint32(len(a.tag))), a.tag), nil
	}
	return equal(h.key(a, clear), a.tag), nil
}

func (a argon2Hash) same(current argon2Hash) bool {
	return a.variant == current.variant && a.memory == current.memory && a.time == current.time && a.parallelism == current.parallelism &&
		len(a.salt) == len(current.salt) && len(a.tag) == len(current.tag)
}

func (a argon2Hash) check() error {
	switch {
	case a.time < 1 || a.time > maxTime:
		return malformed("argon2 with t=%d; allowed is 1 to %d", a.time, maxTime)
	case a.parallelism < 1 || a.parallelism > maxParallelism:
		return malformed("argon2 with p=%d; allowed is 1 to %d", a.parallelism, maxParallelism)
	case a.memory < 8*uint32(a.parallelism) || a.memory > maxMemory:
		return malformed("argon2 with m=%d; allowed is 8 for each lane to %d", a.memory, maxMemory)
	case uint64(a.memory)*uint64(a.time) > maxWork:
		return malformed("argon2 with m=%d and t=%d; allowed is a product of %d", a.memory, a.time, maxWork)
	}
	return checkLengths(a.salt, a.tag)
}

// bcryptHash is a hash of bcrypt as Synapse and others store it.
type bcryptHash string

// bcryptBytes is what bcrypt takes of a password, in bytes.
const bcryptBytes = 72

// verify hashes the password with the pepper behind it, and only the first 72 bytes of that, as Synapse
// did when it made the hash (PW-2).
func (b bcryptHash) verify(_ *Hasher, clear []byte, pepper string) (bool, error) {
	err := bcrypt.CompareHashAndPassword([]byte(b), forBcrypt(clear, pepper))
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	if err != nil {
		return false, malformed("bcrypt: %v", err)
	}
	return true, nil
}

func (b bcryptHash) same(argon2Hash) bool { return false }

// forBcrypt returns what bcrypt takes of a password with the pepper behind it.
func forBcrypt(clear []byte, pepper string) []byte {
	clear = append(clear[:len(clear):len(clear)], pepper...)
	return clear[:min(len(clear), bcryptBytes)]
}

// pbkdf2Hash is a hash of PBKDF2 (RFC 8018) in PHC form.
type pbkdf2Hash struct {
	digest     func() hash.Hash
	iterations int
	salt, tag  []byte
}

var digests = map[string]func() hash.Hash{
	"pbkdf2":        sha1.New,
	"pbkdf2-sha1":   sha1.New,
	"pbkdf2-sha256": sha256.New,
	"pbkdf2-sha512": sha512.New,
}

func (p pbkdf2Hash) verify(_ *Hasher, clear []byte, _ string) (bool, error) {
	tag, err := pbkdf2.Key(p.digest, string(clear), p.salt, p.iterations, len(p.tag))
	if err != nil {
		return false, malformed("pbkdf2: %v", err)
	}
	return equal(tag, p.tag), nil
}

func (p pbkdf2Hash) same(argon2Hash) bool { return false }

func (p pbkdf2Hash) check() error {
	if p.iterations < 1 || p.iterations > maxIterations {
		return malformed("pbkdf2 with %d iterations; allowed is 1 to %d", p.iterations, maxIterations)
	}
	return checkLengths(p.salt, p.tag)
}

func checkLengths(salt, tag []byte) error {
	if len(salt) < minSalt || len(salt) > maxSalt {
		return malformed("a salt of %d bytes; allowed is %d to %d", len(salt), minSalt, maxSalt)
	}
	if len(tag) < minTag || len(tag) > maxTag {
		return malformed("a hash of %d bytes; allowed is %d to %d", len(tag), minTag, maxTag)
	}
	return nil
}

// malformed is an ErrHash. Its text never quotes salt or hash.
func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrHash, fmt.Sprintf(format, args...))
}
