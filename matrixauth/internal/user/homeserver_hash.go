package user

import (
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// HashForHomeserver returns a stored hash in the form that the homeserver verifies, empty if it is of a scheme that it does
// not know.
func (u *Users) HashForHomeserver(_ *store.Tx, hash string) (string, error) {
	if strings.HasPrefix(hash, "$2") {
		return hash, nil
	}
	return "", nil
}
