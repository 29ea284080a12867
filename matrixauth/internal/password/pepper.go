package password

import (
	"context"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// Pepper is what a server appends to each password before it hashes it (Synapse's password_config.pepper). The hashes of
// one server name theirs, as several servers may have left hashes behind.
type Pepper struct {
	// ID names the pepper; empty for none.
	ID string
	// Text is a secret.
	Text string
}

// String is the id. It keeps the text out of logs.
func (p Pepper) String() string { return "pepper " + p.ID }

// GoString is String: it keeps the text out of %#v.
func (p Pepper) GoString() string { return p.String() }

// pepperPrefix goes before the id of the pepper of a hash, and pepperEnd behind it.
const (
	pepperPrefix = "{pepper:"
	pepperEnd    = "}"
)

// WithPepper returns the form in which a bcrypt hash is stored that was made with the pepper of an id, which has no
// braces; an empty id is none.
func WithPepper(id, hash string) string {
	if id == "" {
		return hash
	}
	return pepperPrefix + id + pepperEnd + hash
}

// PepperOf undoes WithPepper.
func PepperOf(stored string) (id, hash string) {
	rest, found := strings.CutPrefix(stored, pepperPrefix)
	if !found {
		return "", stored
	}
	id, hash, found = strings.Cut(rest, pepperEnd)
	if !found {
		return "", stored
	}
	return id, hash
}

// IsBcrypt reports whether a hash is one of bcrypt that can be verified, without a pepper's id before it.
func IsBcrypt(hash string) bool {
	_, err := parseBcrypt(hash)
	return err == nil && (strings.HasPrefix(hash, "$2a$") || strings.HasPrefix(hash, "$2b$") || strings.HasPrefix(hash, "$2y$"))
}

// BcryptCost is that of new hashes of bcrypt, Synapse's default.
const BcryptCost = 12

// HashBcrypt is Hash by bcrypt, as Synapse makes its hashes: of the password in form NFKC with the pepper behind it, the
// first 72 bytes count. So the way back to it stays open.
func (h *Hasher) HashBcrypt(ctx context.Context, password string, cost int, pepper Pepper) (string, error) {
	made, err := h.bcrypt(ctx, password, cost, pepper)
	if err != nil {
		return "", err
	}
	return WithPepper(pepper.ID, string(made)), nil
}

// VerifyDummyBcrypt is VerifyDummy at the cost of a hash of HashBcrypt.
func (h *Hasher) VerifyDummyBcrypt(ctx context.Context, password string, cost int) error {
	_, err := h.bcrypt(ctx, password, cost, Pepper{})
	return err
}

func (h *Hasher) bcrypt(ctx context.Context, password string, cost int, pepper Pepper) (made []byte, err error) {
	if len(password) > bound.PasswordMost {
		return nil, ErrTooLong
	}
	err = h.run(ctx, func() (err error) {
		made, err = bcrypt.GenerateFromPassword(forBcrypt(normalize(password), pepper.Text), cost)
		return err
	})
	return made, err
}
