package synapsedb

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// SQLite keeps any value in any column, and has no truth values at all: what was written by hand or by a script of
// long ago is read as what it was meant to be.

// text reads a value as text. It is false for NULL.
func (r row) text(i int) (s string, ok bool) {
	switch v := r[i].(type) {
	case string:
		return v, true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// number reads a value as a whole number. It is false for NULL and for what is none.
func (r row) number(i int) (n int64, ok bool) {
	switch v := r[i].(type) {
	case int64:
		return v, true
	case float64:
		return whole(v)
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case string:
		v = strings.TrimSpace(v)
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return n, true
		}
		if f, err := strconv.ParseFloat(v, 64); err == nil {
			return whole(f)
		}
	}
	return 0, false
}

func whole(f float64) (n int64, ok bool) {
	if math.IsNaN(f) || math.Abs(f) >= 1<<62 {
		return 0, false
	}
	return int64(f), true
}

// truth reads a value as true or false. It is not known for NULL and for what is neither.
func (r row) truth(i int) (is, known bool) {
	if s, isText := r[i].(string); isText {
		switch strings.ToLower(strings.TrimSpace(s)) {
		case "t", "true", "y", "yes", "on":
			return true, true
		case "f", "false", "n", "no", "off":
			return false, true
		}
	}
	n, known := r.number(i)
	return n != 0, known
}

// is reports whether a value is true; NULL is not.
func (r row) is(i int) bool {
	is, _ := r.truth(i)
	return is
}

// The times between which a moment that has passed can lie: Matrix is of 2014, and clocks go wrong by a day.
var earliest = time.Date(2013, 1, 1, 0, 0, 0, 0, time.UTC)

const wrongClock = 24 * time.Hour

// past reads a moment that has passed, in seconds or in milliseconds: which of them it is, is seen by its size, as some
// wrote the one where the other belongs. Zero, NULL and a time that cannot be are not known; odd reports the last.
func (r row) past(i int, now time.Time) (at time.Time, odd bool) {
	n, ok := r.number(i)
	if !ok {
		return time.Time{}, r[i] != nil && r[i] != ""
	}
	if n == 0 {
		return time.Time{}, false
	}
	for _, at := range []time.Time{time.UnixMilli(n), time.Unix(n, 0)} {
		if !at.Before(earliest) && !at.After(now.Add(wrongClock)) {
			return at.UTC(), false
		}
	}
	return time.Time{}, true
}

// expiry is the moment from which on something is not taken any more.
type expiry struct {
	at    time.Time // zero for never; of what has ended when it did
	ended bool
}

// latest is the last moment that is kept; what ends later never ends.
var latest = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// end reads when something ends, always in milliseconds as Synapse reads it: where that is wrong, Synapse does not take
// the token, and neither may we.
func (r row) end(i int, now time.Time) expiry {
	if r[i] == nil {
		return expiry{}
	}
	n, ok := r.number(i)
	if !ok || n < now.UnixMilli() {
		return expiry{at: time.UnixMilli(max(n, 1)).UTC(), ended: true}
	}
	if n >= latest.UnixMilli() {
		return expiry{}
	}
	return expiry{at: time.UnixMilli(n).UTC()}
}

// sooner returns which of two comes first.
func (e expiry) sooner(other expiry) expiry {
	switch {
	case e.ended != other.ended:
		if e.ended {
			return e
		}
		return other
	case e.at.IsZero() || !other.at.IsZero() && other.at.Before(e.at):
		return other
	}
	return e
}
