package seal

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// Purpose is what values are sealed for, as a plural noun in plain words, such as "codes in mails that wait":
// it is stored, derives the key, and tells an operator what is lost with the file. It never changes. A value
// that was sealed for one purpose cannot be opened for another.
type Purpose string

const (
	// heading begins a file, so that another file is told from one of ours, and a later form from this one.
	heading = "matrix-auth-seal 1"
	// keySize is the size of the secret in a file, in bytes.
	keySize = 32
	// idSize is the size of a key's id, in bytes.
	idSize = 8
	// version begins a sealed value. Behind it are the id of the key, the nonce, and what is sealed.
	version = 1
	// overhead is what a sealed value has more than its plain text, in bytes.
	overhead = 1 + idSize + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead
)

// key is the secret of a file.
type key struct {
	secret [keySize]byte
	// id tells the key from others, and nothing about it.
	id [idSize]byte
}

// newKey makes the secret of a new file.
func newKey() (*key, error) {
	var secret [keySize]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return nil, err
	}
	return keyOf(secret)
}

func keyOf(secret [keySize]byte) (*key, error) {
	k := &key{secret: secret}
	id, err := k.derive("id", idSize)
	copy(k.id[:], id)
	return k, err
}

// derive makes what follows from the secret for one use (RFC 5869).
func (k *key) derive(use string, size int) ([]byte, error) {
	return hkdf.Key(sha256.New, k.secret[:], nil, "matrix-auth seal: "+use, size)
}

// String returns the id, so that no print shows the secret.
func (k *key) String() string { return hex.EncodeToString(k.id[:]) }

// GoString is String.
func (k *key) GoString() string { return k.String() }

// text returns the content of a file.
func (k *key) text() []byte {
	return []byte(heading + "\n" + base64.StdEncoding.EncodeToString(k.secret[:]) + "\n")
}

// parseKey reads the content of a file. Its error holds nothing of it.
func parseKey(text []byte) (*key, error) {
	first, second, _ := strings.Cut(string(text), "\n")
	line, rest, ended := strings.Cut(second, "\n")
	secret, err := base64.StdEncoding.Strict().DecodeString(line)
	switch {
	case strings.HasPrefix(first, "matrix-auth-seal ") && first != heading:
		return nil, errors.New("is of a newer version")
	case first != heading:
		return nil, errors.New("is not a seal")
	case err != nil || len(secret) != keySize || !ended || rest != "":
		return nil, errors.New("is cut short or was changed")
	}
	return keyOf([keySize]byte(secret))
}

// The errors of a sealed value. ErrOtherKey is for one that was sealed by the file with another key, ErrDamaged
// for one that was changed, or stands in a place that it was not sealed for.
var (
	ErrOtherKey = errors.New("the value was sealed by another seal")
	ErrDamaged  = errors.New("the sealed value was changed, or is another row's")
)

// seal seals a text for a purpose and a place.
func (k *key) seal(purpose Purpose, place string, plain []byte) ([]byte, error) {
	box, err := k.derive("purpose "+string(purpose), chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.NewX(box)
	if err != nil {
		return nil, err
	}
	sealed := make([]byte, 1+idSize+chacha20poly1305.NonceSizeX, overhead+len(plain))
	sealed[0] = version
	copy(sealed[1:], k.id[:])
	nonce := sealed[1+idSize:]
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return aead.Seal(sealed, nonce, plain, associated(purpose, place)), nil
}

// open opens what seal sealed for the same purpose and place.
func (k *key) open(purpose Purpose, place string, sealed []byte) ([]byte, error) {
	if len(sealed) < overhead || sealed[0] != version {
		return nil, ErrDamaged
	}
	id, rest := sealed[1:1+idSize], sealed[1+idSize:]
	if [idSize]byte(id) != k.id {
		return nil, ErrOtherKey
	}
	box, err := k.derive("purpose "+string(purpose), chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.NewX(box)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, rest[:chacha20poly1305.NonceSizeX], rest[chacha20poly1305.NonceSizeX:], associated(purpose, place))
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", ErrDamaged, purpose)
	}
	return plain, nil
}

// associated returns what a sealed value is bound to: no two purposes and places make the same.
func associated(purpose Purpose, place string) []byte {
	data := binary.BigEndian.AppendUint64([]byte{version}, uint64(len(purpose)))
	return append(append(data, purpose...), place...)
}
