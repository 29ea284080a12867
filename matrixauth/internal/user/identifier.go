package user

import (
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Identifier says who wants to sign in, in one of the forms of the Client-Server API. Blanks around it
// do not count, whoever asks: keyboards of phones add one behind words, and password managers keep it.
// A password is taken as it is.
type Identifier struct {
	// Name is a localpart or a full Matrix id.
	Name string
	// Email is a mail address; it counts if Name is empty.
	Email string
}

// Typed reads what a person typed into the one field of a form: a localpart, a Matrix id or a mail
// address.
func Typed(text string) Identifier {
	if strings.LastIndexByte(strings.TrimSpace(text), '@') > 0 {
		return Identifier{Email: text}
	}
	return Identifier{Name: text}
}

func (id Identifier) trimmed() Identifier {
	return Identifier{Name: strings.TrimSpace(id.Name), Email: strings.TrimSpace(id.Email)}
}

// Key returns one key for all spellings of an account's name, whether there is such an account or not.
func (u *Users) Key(id Identifier) string {
	id = id.trimmed()
	if id.Name == "" {
		return model.EmailKey(id.Email)
	}
	if localpart, server, ok := model.ParseMatrixID(id.Name); ok && server == u.config.ServerName {
		return strings.ToLower(localpart)
	}
	return strings.ToLower(id.Name)
}

// Identified finds the account that an identifier means, or ErrNotFound. Names are tried in the exact spelling, then in
// lower case (LEG-16), and then in any that only one account has.
func (u *Users) Identified(tx *store.Tx, id Identifier) (model.User, error) {
	id = id.trimmed()
	if id.Name == "" {
		return tx.UserByEmail(model.EmailKey(id.Email))
	}
	return tx.UserByLogin(u.ownLocalpart(id.Name))
}

// ownLocalpart returns the localpart of a name of this server; a name of another server yields a
// localpart that nobody has.
func (u *Users) ownLocalpart(name string) string {
	localpart, server, ok := model.ParseMatrixID(name)
	if !ok {
		return name
	}
	if server != u.config.ServerName {
		return ""
	}
	return localpart
}
