package password

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// RawPrefix goes before an imported hash whose server did not normalize passwords, as
// matrix-authentication-service does not unless it is told to. Such a hash is verified with the bytes as
// they come and then upgraded to one of the normalized password (PW-7).
const RawPrefix = "{raw}"

// maxEncoded bounds a stored hash, in bytes.
const maxEncoded = 512

// stored is a stored hash as parse found it.
type stored struct {
	scheme scheme
	raw    bool
	// pepper is the id of the pepper that the hash was made with; empty for none.
	pepper string
}

// parse reads a stored hash: a PHC string of argon2id, argon2i or PBKDF2, or a modular crypt string of
// bcrypt, either with RawPrefix; before one of bcrypt may stand the pepper that it was made with (WithPepper). What it
// returns is within the bounds.
func parse(text string) (stored, error) {
	if len(text) > maxEncoded {
		return stored{}, malformed("%d bytes; allowed are %d", len(text), maxEncoded)
	}
	text, raw := strings.CutPrefix(text, RawPrefix)
	pepper, text := PepperOf(text)
	fields := strings.Split(text, "$")
	if len(fields) < 4 || fields[0] != "" {
		return stored{}, malformed("not of the form $scheme$…")
	}
	var s scheme
	var err error
	switch id := fields[1]; {
	case id == "argon2id" || id == "argon2i":
		s, err = parseArgon2(id, fields[2:])
	case id == "2a" || id == "2b" || id == "2y":
		s, err = parseBcrypt(text)
	case digests[id] != nil:
		s, err = parsePBKDF2(id, fields[2:])
	default:
		err = malformed("the scheme is not supported")
	}
	if err != nil {
		return stored{}, err
	}
	if _, isBcrypt := s.(bcryptHash); pepper != "" && !isBcrypt {
		return stored{}, malformed("a pepper stands before a hash that is not of bcrypt")
	}
	return stored{scheme: s, raw: raw, pepper: pepper}, nil
}

// parseArgon2 reads v=19, parameters, salt and hash.
func parseArgon2(variant string, fields []string) (scheme, error) {
	if len(fields) != 4 || fields[0] != "v=19" {
		return nil, malformed("argon2 is not of the form v=19$parameters$salt$hash")
	}
	numbers, err := parameters(fields[1], "m", "t", "p")
	if err != nil {
		return nil, err
	}
	if numbers[2] > maxParallelism {
		return nil, malformed("argon2 with p=%d; allowed is 1 to %d", numbers[2], maxParallelism)
	}
	salt, tag, err := saltAndTag(fields[2:])
	if err != nil {
		return nil, err
	}
	a := argon2Hash{variant: variant, memory: numbers[0], time: numbers[1], parallelism: uint8(numbers[2]), salt: salt, tag: tag}
	return a, a.check()
}

// String writes a hash in PHC form.
func (a argon2Hash) String() string {
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$%s$v=19$m=%d,t=%d,p=%d$%s$%s", a.variant, a.memory, a.time, a.parallelism, encode(a.salt), encode(a.tag))
}

// bcryptLength is that of $2b$12$ with 22 characters of salt and 31 of hash.
const bcryptLength = 60

func parseBcrypt(text string) (scheme, error) {
	if len(text) != bcryptLength || strings.Count(text, "$") != 3 || text[6] != '$' {
		return nil, malformed("bcrypt is not of the form $2b$cost$salt and hash")
	}
	const alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	if strings.Trim(text[7:], alphabet) != "" {
		return nil, malformed("bcrypt has characters outside its alphabet")
	}
	cost, err := bcrypt.Cost([]byte(text))
	if err != nil {
		return nil, malformed("bcrypt: no cost")
	}
	if cost > maxBcryptCost {
		return nil, malformed("bcrypt of cost %d; allowed is %d to %d", cost, bcrypt.MinCost, maxBcryptCost)
	}
	return bcryptHash(text), nil
}

// parsePBKDF2 reads i=…,l=… (the length may be missing), salt and hash.
func parsePBKDF2(id string, fields []string) (scheme, error) {
	if len(fields) != 3 {
		return nil, malformed("pbkdf2 is not of the form parameters$salt$hash")
	}
	keys := []string{"i", "l"}
	if !strings.Contains(fields[0], ",") {
		keys = keys[:1]
	}
	numbers, err := parameters(fields[0], keys...)
	if err != nil {
		return nil, err
	}
	salt, tag, err := saltAndTag(fields[1:])
	if err != nil {
		return nil, err
	}
	if len(numbers) == 2 && int64(numbers[1]) != int64(len(tag)) {
		return nil, malformed("pbkdf2 with l=%d and a hash of %d bytes", numbers[1], len(tag))
	}
	if numbers[0] > maxIterations {
		return nil, malformed("pbkdf2 with %d iterations; allowed is 1 to %d", numbers[0], maxIterations)
	}
	p := pbkdf2Hash{digest: digests[id], iterations: int(numbers[0]), salt: salt, tag: tag}
	return p, p.check()
}

// parameters reads exactly the given keys, in their order, as the PHC string format wants them.
func parameters(text string, keys ...string) ([]uint32, error) {
	pairs := strings.Split(text, ",")
	if len(pairs) != len(keys) {
		return nil, malformed("the parameters are not %s", strings.Join(keys, ", "))
	}
	numbers := make([]uint32, len(keys))
	for i, pair := range pairs {
		key, digits, _ := strings.Cut(pair, "=")
		if key != keys[i] {
			return nil, malformed("the parameters are not %s", strings.Join(keys, ", "))
		}
		n, err := strconv.ParseUint(digits, 10, 32)
		if err != nil || n > math.MaxInt32 || strconv.FormatUint(n, 10) != digits {
			return nil, malformed("the parameter %s is not a number in its range", key)
		}
		numbers[i] = uint32(n)
	}
	return numbers, nil
}

func saltAndTag(fields []string) (salt, tag []byte, err error) {
	encoding := base64.RawStdEncoding.Strict()
	// A decoder of package base64 skips line breaks, which have no place here.
	if strings.ContainsAny(fields[0]+fields[1], "\r\n") {
		return nil, nil, malformed("salt or hash is not base64")
	}
	salt, err = encoding.DecodeString(fields[0])
	if err == nil {
		tag, err = encoding.DecodeString(fields[1])
	}
	if err != nil {
		return nil, nil, malformed("salt or hash is not base64")
	}
	return salt, tag, nil
}
