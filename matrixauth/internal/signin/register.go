package signin

import (
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Register has the person make an account, as the client asked for (prompt=create, CREATE-1). They may sign in to one
// that they have instead, at the page of Password.
type Register struct{ Visit }

func (Register) path(Goal) string { return page.RegisterPath }

// register asks for an account only if nobody is signed in: who is goes on as they are, and is offered a new account on the
// page of consent.
func register(s *SignIns, _ *store.Tx, v *Visit) (Step, error) {
	if v.Nobody() && v.Pending != nil && v.Pending.Asked.Create && s.Registers() {
		return Register{*v}, nil
	}
	return nil, nil
}

// Registers reports whether people can make accounts of their own.
func (s *SignIns) Registers() bool { return s.config.Registers != nil && s.config.Registers() }
