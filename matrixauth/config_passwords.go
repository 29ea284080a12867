package matrixauth

import (
	"cmp"
	"fmt"
	"log/slog"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
)

// Passwords says what new passwords must be like, wherever they are set. Passwords that accounts have already are not
// judged.
type Passwords struct {
	// MinLength is the least number of characters.
	MinLength int
	// MinScore is the least score of zxcvbn, 0 to 4; nil for DefaultMinScore.
	MinScore *int
	// Blocklist is the path of a file with more passwords that are refused; empty for none.
	Blocklist string
}

// The defaults of Passwords, and the greatest MinLength and MinScore. NIST SP 800-63B has at least 64 characters taken, and so
// no more asked for.
const (
	DefaultMinLength = bound.PasswordLeast
	MinLengthMost    = 64
	DefaultMinScore  = password.DefaultMinScore
	MinScoreMost     = password.MaxScore
)

func (p Passwords) withDefaults() Passwords {
	p.MinLength = cmp.Or(p.MinLength, DefaultMinLength)
	if p.MinScore == nil {
		score := DefaultMinScore
		p.MinScore = &score
	}
	return p
}

func (p Passwords) problems() (all []Problem) {
	if p.MinLength < bound.PasswordLeast || p.MinLength > MinLengthMost {
		all = append(all, Problem{"passwords min_length", fmt.Sprintf("must be between %d and %d", bound.PasswordLeast, MinLengthMost)})
	}
	if p.MinScore == nil || *p.MinScore < 0 || *p.MinScore > MinScoreMost {
		all = append(all, Problem{"passwords min_score", fmt.Sprintf("must be between 0 and %d", MinScoreMost)})
	}
	if p.Blocklist == "" {
		return all
	}
	text := checkWholePath(p.Blocklist)
	if text == "" {
		text = textOf(password.CheckBlocklist(p.Blocklist))
	}
	if text != "" {
		all = append(all, Problem{"passwords blocklist", text})
	}
	return all
}

// policy makes the policy that judges new passwords.
func (p Passwords) policy(logger *slog.Logger) *password.Policy {
	return password.NewPolicy(password.PolicyConfig{MinLength: p.MinLength, MinScore: *p.MinScore, Blocklist: p.Blocklist, BlocklistFailed: func(err error) {
		logger.Warn("a new password was judged without the file of refused passwords, which cannot be read", "error", err)
	}})
}

// The values of Config.PasswordHash.
const (
	HashArgon2id = "argon2id"
	// HashBcrypt has new passwords hashed so that Synapse verifies them, and old hashes of bcrypt stay as they are.
	HashBcrypt = "bcrypt"
)

func passwordHashProblems(hash string) []Problem {
	if hash == HashArgon2id || hash == HashBcrypt {
		return nil
	}
	return []Problem{{"password_hash", "must be " + HashArgon2id + " or " + HashBcrypt}}
}

// bcryptCost is that of new hashes, zero for those of argon2id.
func bcryptCost(hash string) int {
	if hash == HashBcrypt {
		return password.BcryptCost
	}
	return 0
}
