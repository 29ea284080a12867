package model

import (
	"crypto/rand"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// NewID makes a ULID whose time part is now. Ids are unique, not ordered within a millisecond;
// where order matters a table keeps its own position.
func NewID(now time.Time) string {
	return ulid.MustNew(ulid.Timestamp(now), rand.Reader).String()
}

// IDTime is the time part of an id of NewID, in milliseconds; zero for a text that is no such id.
func IDTime(id string) time.Time {
	parsed, err := ulid.ParseStrict(id)
	if err != nil {
		return time.Time{}
	}
	return ulid.Time(parsed.Time()).UTC()
}

// FirstID is the least id that NewID can make at a time, of which the milliseconds count. The zero time has the least
// of all.
func FirstID(at time.Time) string {
	if at.IsZero() {
		return ulid.Zero.String()
	}
	var id ulid.ULID
	_ = id.SetTime(ulid.Timestamp(at)) // fails in the year 10889
	return id.String()
}

// deviceIDLetters are the letters of a generated device id: capitals, as Synapse made them, so that
// clients which assume that shape keep working.
const deviceIDLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// NewDeviceID makes a device id of ten capital letters (LEG-22).
func NewDeviceID() string { return randomString(deviceIDLetters, 10) }

// CheckNewDeviceID checks the id of a device that does not exist yet: beyond CheckDeviceID it must not hold
// characters that nobody sees, by which one id looks like another and terminals are made to obey (HTTP-9). Devices that have such an id go on.
func CheckNewDeviceID(id string) error {
	if err := CheckDeviceID(id); err != nil {
		return err
	}
	if strings.ContainsFunc(id, IsInvisible) {
		return Errorf(InvalidParam, "the device_id of a new device must not hold characters that cannot be seen")
	}
	return nil
}

// CheckDeviceID checks a device id given by a client: 1 to 255 bytes, and neither control
// characters nor invalid UTF-8, because Synapse stores at most 255 and introspection answers must
// carry it (SYN-6). Its error is InvalidParam.
func CheckDeviceID(id string) error {
	if id == "" || len(id) > 255 {
		return Errorf(InvalidParam, "device_id must have 1 to 255 bytes")
	}
	for _, r := range id {
		if r < 0x20 || r == 0x7f || r == '\uFFFD' {
			return Errorf(InvalidParam, "device_id must not hold control characters")
		}
	}
	return nil
}

// randomString draws n letters of the alphabet from the system's random source without bias: a byte
// beyond the largest multiple of the alphabet's length is drawn again.
func randomString(alphabet string, n int) string {
	limit := byte(256 - 256%len(alphabet))
	out := make([]byte, 0, n)
	buf := make([]byte, n+n/2)
	for len(out) < n {
		// crypto/rand.Read never fails: since Go 1.24 it ends the process instead.
		_, _ = rand.Read(buf)
		for _, b := range buf {
			if limit != 0 && b >= limit {
				continue
			}
			if len(out) == n {
				break
			}
			out = append(out, alphabet[int(b)%len(alphabet)])
		}
	}
	return string(out)
}
