package synapsedb

import (
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/move"
)

// ChaosOf maps rows of anything that are one user's, and reports false if that user cannot come.
func ChaosOf(pick func(n int) int, name, server string, now time.Time, findings *move.Findings) (move.Account, bool) {
	raw := chaos(pick)
	raw.User[userName] = name
	return newMapper(server, now, findings).account(raw)
}
