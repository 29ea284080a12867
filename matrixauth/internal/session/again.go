package session

import (
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// EndAgain ends a session that had ended already for a reason, and lives again as a backup was put back. Its device is
// left alone: it was deleted then, or is by now that of a session that the backup does not have. One that does not live
// stays as it is. It reports whether it lived.
func (s *Sessions) EndAgain(tx *store.Tx, by model.Actor, id string, reason model.EndReason) (lived bool, err error) {
	session, lived, err := live(tx, id)
	if err != nil || !lived {
		return false, err
	}
	if err := s.endRows(tx, by, session, reason); err != nil {
		return false, err
	}
	return true, Withdraw(tx, session.UserID, session.ClientID, reason)
}
