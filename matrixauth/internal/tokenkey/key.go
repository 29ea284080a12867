package tokenkey

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const (
	// heading begins a file, so that another file is told from one of ours, and a later form from this one.
	heading = "matrix-auth-key 1"
	// secretSize is the size of a key's secret, in bytes.
	secretSize = 32
	// maxNumber is the greatest number of a key: a token has a byte for it.
	maxNumber = 255
)

// key is one key of a file, with what follows from it (RFC 5869).
type key struct {
	number byte
	secret [secretSize]byte
	// made and authentic make the two tags of a token, networks the marks of networks.
	made, authentic, networks []byte
	// fingerprint tells the key from others, and nothing about it.
	fingerprint string
}

func newKey(number byte, serverName string) (*key, error) {
	var secret [secretSize]byte
	_, _ = rand.Read(secret[:]) // never fails: it ends the process instead
	return keyOf(number, secret, serverName)
}

// keyOf derives what a key is used for. The server's name is part of what tokens are proven by, so that a file which is
// copied to another server is worth nothing there.
func keyOf(number byte, secret [secretSize]byte, serverName string) (*key, error) {
	k := &key{number: number, secret: secret}
	// A database knows a key under any name: while it has no accounts, a name that was mistyped costs nothing.
	var fingerprint []byte
	for info, into := range map[string]*[]byte{"tag A of " + serverName: &k.made, "tag B of " + serverName: &k.authentic, "networks of " + serverName: &k.networks, "fingerprint": &fingerprint} {
		derived, err := hkdf.Key(sha256.New, secret[:], nil, "matrix-auth token: "+info, sha256.Size)
		if err != nil {
			return nil, err
		}
		*into = derived
	}
	k.fingerprint = hex.EncodeToString(fingerprint[:8])
	return k, nil
}

// String names the key, so that no print shows the secret.
func (k *key) String() string { return fmt.Sprintf("%d (%s)", k.number, k.fingerprint) }

// GoString is String.
func (k *key) GoString() string { return k.String() }

func tag(with []byte, parts ...[]byte) (t [8]byte) {
	mac := hmac.New(sha256.New, with)
	for _, part := range parts {
		mac.Write(part)
	}
	return [8]byte(mac.Sum(nil))
}

// tags are those of a token with the given claims, in a session with the given seed.
func (k *key) tags(signed, seed []byte) model.Tags {
	return model.Tags{Made: tag(k.made, signed), Authentic: tag(k.authentic, seed, signed)}
}

// network marks the network of an address: an IPv4 address, or the /64 of an IPv6 address.
func (k *key) network(address netip.Addr) model.NetworkMark {
	address = address.Unmap()
	if address.Is6() {
		address = netip.PrefixFrom(address.WithZone(""), 64).Masked().Addr()
	}
	sum := tag(k.networks, address.AsSlice())
	return model.NetworkMark(append([]byte{k.number}, sum[:]...))
}

// text is the content of a file with these keys, the newest last.
func text(keys []*key) []byte {
	var b strings.Builder
	b.WriteString(heading + "\n")
	for _, k := range keys {
		fmt.Fprintf(&b, "%d %s\n", k.number, base64.StdEncoding.EncodeToString(k.secret[:]))
	}
	return []byte(b.String())
}

// parse reads the content of a file. Its error holds nothing of it.
func parse(content []byte, serverName string) (keys []*key, err error) {
	first, rest, _ := strings.Cut(string(content), "\n")
	switch {
	case strings.HasPrefix(first, "matrix-auth-key ") && first != heading:
		return nil, errors.New("is of a newer version")
	case first != heading:
		return nil, errors.New("is no file of keys")
	case rest == "" || !strings.HasSuffix(rest, "\n"):
		return nil, errDamaged
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(rest, "\n"), "\n") {
		digits, encoded, _ := strings.Cut(line, " ")
		number, numberErr := strconv.ParseUint(digits, 10, 8)
		secret, secretErr := base64.StdEncoding.Strict().DecodeString(encoded)
		if numberErr != nil || number == 0 || secretErr != nil || len(secret) != secretSize || len(keys) > 0 && number <= uint64(keys[len(keys)-1].number) {
			return nil, errDamaged
		}
		k, err := keyOf(byte(number), [secretSize]byte(secret), serverName)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

var errDamaged = errors.New("is cut short or was changed")
