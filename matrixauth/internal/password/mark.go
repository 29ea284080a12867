package password

import "golang.org/x/crypto/argon2"

// Mark tells a pepper apart from others, the same each time; empty for none. Whoever would guess the pepper by it pays a hash
// of the default cost for each guess.
func Mark(pepper string) []byte {
	if pepper == "" {
		return nil
	}
	return argon2.IDKey([]byte(pepper), []byte("matrix-auth pepper"), DefaultTime, DefaultMemory, DefaultParallelism, tagLength)
}
