package gateway

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// sender is a connection that can send a file by itself, and be handed over, or not.
type sender struct {
	*httptest.ResponseRecorder
	sent     bool
	handOver error
}

// ReadFrom implements io.ReaderFrom.
func (s *sender) ReadFrom(r io.Reader) (int64, error) {
	s.sent = true
	return io.Copy(s.ResponseRecorder, r)
}

// Hijack implements http.Hijacker.
func (s *sender) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, s.handOver }

func holding(s state) (*answer, *sender) {
	below := &sender{ResponseRecorder: httptest.NewRecorder()}
	return &answer{ResponseWriter: below, state: s, status: http.StatusUnauthorized, keep: true}, below
}

// TestHeld: an answer is held up to its bound to the byte, and what is held never goes past the change.
func TestHeld(t *testing.T) {
	for size, want := range map[int]state{bound.HeldAnswer: held, bound.HeldAnswer + 1: passing} {
		a, below := holding(held)
		if n, err := a.Write(make([]byte, size)); n != size || err != nil || a.state != want || (below.Body.Len() == 0) != (want == held) {
			t.Errorf("of %d bytes %d are written and %d passed, state %d, %v", size, n, below.Body.Len(), a.state, err)
		}
	}
	a, below := holding(held)
	if _, err := a.ReadFrom(bytes.NewReader([]byte("refused"))); err != nil || below.sent || string(a.body) != "refused" {
		t.Errorf("a file goes past what is held: %v, %q, %v", below.sent, a.body, err)
	}
	a, below = holding(passing)
	if _, err := a.ReadFrom(bytes.NewReader([]byte("a file"))); err != nil || !below.sent {
		t.Errorf("the connection does not send a file by itself: %v", err)
	}
}

// TestHandedOver: who takes a connection over keeps the answer; where that fails the server goes on with it.
func TestHandedOver(t *testing.T) {
	for _, failure := range []error{nil, errors.New("no")} {
		a, below := holding(undecided)
		below.handOver = failure
		if _, _, err := a.Hijack(); !errors.Is(err, failure) || a.keep != (failure != nil) || (a.state == passing) != (failure == nil) {
			t.Errorf("handed over with %v: keep %v, state %d, %v", failure, a.keep, a.state, err)
		}
	}
}

// TestBuffersThatAreKept: one answer of many bytes is not remembered for ever.
func TestBuffersThatAreKept(t *testing.T) {
	for size, kept := range map[int]bool{keptBody: true, keptBody + 1: false} {
		a, _ := holding(passing)
		a.body = make([]byte, 0, size)
		a.finish()
		if (cap(a.body) > 0) != kept {
			t.Errorf("a buffer of %d bytes is kept: %v", size, cap(a.body) > 0)
		}
	}
}

// TestIsFinal: RFC 9110 section 15.2.
func TestIsFinal(t *testing.T) {
	for status, want := range map[int]bool{99: true, 100: false, 101: true, 102: false, 103: false, 199: false, 200: true, 204: true, 401: true} {
		if isFinal(status) != want {
			t.Errorf("%d is final: %v", status, !want)
		}
	}
}

// TestPlainSize: what a compressed answer unfolds to is held up to the bound, to the byte.
func TestPlainSize(t *testing.T) {
	for size, want := range map[int]bool{bound.HeldAnswer: true, bound.HeldAnswer + 1: false} {
		plain := make([]byte, size)
		var zipped bytes.Buffer
		w := gzip.NewWriter(&zipped)
		_, err := w.Write(plain)
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		encoder, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		for coding, body := range map[string][]byte{"gzip": zipped.Bytes(), "zstd": encoder.EncodeAll(plain, nil)} {
			if got, ok := decode(coding, body); ok != want || ok && len(got) != size {
				t.Errorf("%d bytes by %s: %d, %v", size, coding, len(got), ok)
			}
		}
		if err := encoder.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWatchNaming: only a request that names one device is watched.
func TestWatchNaming(t *testing.T) {
	const devices = web.ClientAPIPath + "v3/devices/"
	for path, want := range map[string]string{
		devices + "PHONE":                                     "PHONE",
		devices + "A%2FB":                                     "A/B",
		devices:                                               "",
		devices + "PHONE/keys":                                "",
		web.ClientAPIPath + "v9/devices/PHONE":                "",
		web.ClientAPIPath + "unstable/devices/PHONE":          "PHONE",
		web.ClientAPIPath + "v3/room/devices/PHONE":           "",
		web.ClientAPIPath + "r0/devices/PHONE":                "PHONE",
		"/elsewhere" + web.ClientAPIPath + "v3/devices/PHONE": "",
	} {
		u, err := url.Parse(path)
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{Method: http.MethodPut, URL: u, Body: http.NoBody}
		n := watchNaming(r)
		if got := n != nil; got != (want != "") || got && n.deviceID != want {
			t.Errorf("%s: watched %v, %+v", path, got, n)
		}
	}
	broken := &http.Request{Method: http.MethodPut, URL: &url.URL{Path: devices + "%zz"}, Body: http.NoBody}
	if n := watchNaming(broken); n == nil || n.deviceID != "%zz" {
		t.Errorf("a device with a percent sign in its name: %+v", n)
	}
}

// TestAnnouncedSize: an answer that says that it is too long to be held is not, and one that says nothing is.
func TestAnnouncedSize(t *testing.T) {
	for length, want := range map[string]bool{"": true, "0": true, fmt.Sprint(bound.HeldAnswer): true, fmt.Sprint(bound.HeldAnswer + 1): false} {
		h := http.Header{}
		if length != "" {
			h.Set("Content-Length", length)
		}
		if mayHold(h) != want {
			t.Errorf("an answer of length %q is held: %v", length, !want)
		}
	}
	if mayHold(http.Header{"Trailer": {"X"}}) {
		t.Error("an answer with a trailer is held")
	}
}

// TestInterimAnswers: what comes before the final answer passes and decides nothing.
func TestInterimAnswers(t *testing.T) {
	a, _ := holding(undecided)
	a.status = 0
	a.WriteHeader(http.StatusEarlyHints)
	if a.state != undecided || a.status != 0 {
		t.Errorf("an interim answer decides: state %d, status %d", a.state, a.status)
	}
}
