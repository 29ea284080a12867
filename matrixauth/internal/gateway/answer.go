package gateway

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// answer is the writer that the next handler answers to. An answer that no change concerns passes as it
// comes. One that may be changed is held until it is complete, and goes on changed or not. It comes from a pool,
// since it costs every request.
type answer struct {
	http.ResponseWriter
	gateway *Gateway
	request passage

	// change is how the answer is changed, once it is held.
	change *change
	state  state
	status int
	body   []byte
	// keep is false once somebody else may hold on to the answer.
	keep bool
}

type state uint8

const (
	undecided state = iota
	passing
	held
)

// keptBody is the largest buffer that goes back to the pool, in bytes: refusals are small.
const keptBody = 4 << 10

var answers = sync.Pool{New: func() any { return new(answer) }}

func newAnswer(w http.ResponseWriter, g *Gateway, p passage) *answer {
	a, ok := answers.Get().(*answer)
	if !ok {
		a = new(answer)
	}
	a.ResponseWriter, a.gateway, a.request, a.keep = w, g, p, true
	return a
}

// finish sends what is held, gives the answer back to the pool, and returns the status of the answer, zero if
// none was written. It must not be called after a panic of the next handler: what is held then is not
// complete.
func (a *answer) finish() (status int) {
	if a.state == held {
		a.send()
	}
	status = a.status
	if !a.keep {
		return status
	}
	body := a.body[:0]
	if cap(body) > keptBody {
		body = nil
	}
	*a = answer{body: body}
	answers.Put(a)
	return status
}

// WriteHeader decides what becomes of the answer. Statuses before the final one pass.
func (a *answer) WriteHeader(status int) {
	switch {
	case a.state == held:
		return // the first one counts
	case a.state == undecided && isFinal(status):
		a.status = status
		if a.change = a.gateway.changeOf(a.request, status, a.Header()); a.change != nil && mayHold(a.Header()) {
			a.state = held
			return
		}
		a.state = passing
	}
	a.ResponseWriter.WriteHeader(status)
}

// isFinal reports whether a status is not merely informational (RFC 9110 section 15.2). After 101 there
// is no further answer.
func isFinal(status int) bool {
	return status == http.StatusSwitchingProtocols || status < 100 || status > 199
}

// mayHold reports whether an answer may be replaced. Announced trailers speak of a body as it was.
func mayHold(h http.Header) bool {
	if len(h["Trailer"]) > 0 {
		return false
	}
	length, err := strconv.Atoi(h.Get("Content-Length"))
	return err != nil || length <= bound.HeldAnswer
}

// Write passes or holds a part of the body.
func (a *answer) Write(p []byte) (int, error) {
	if a.state == undecided {
		a.WriteHeader(http.StatusOK)
	}
	if a.state == held && len(a.body)+len(p) > bound.HeldAnswer {
		if err := a.letGo(); err != nil {
			return 0, err
		}
	}
	if a.state == passing {
		return a.ResponseWriter.Write(p)
	}
	a.body = append(a.body, p...)
	return len(p), nil
}

// letGo sends what is held as it came.
func (a *answer) letGo() error {
	a.state = passing
	a.ResponseWriter.WriteHeader(a.status)
	_, err := a.ResponseWriter.Write(a.body)
	return err
}

// ReadFrom lets the writer below send a file by itself.
func (a *answer) ReadFrom(r io.Reader) (int64, error) {
	if a.state == undecided {
		a.WriteHeader(http.StatusOK)
	}
	if below, ok := a.ResponseWriter.(io.ReaderFrom); ok && a.state == passing {
		return below.ReadFrom(r)
	}
	return io.Copy(onlyWriter{a}, r)
}

// onlyWriter hides ReadFrom from io.Copy.
type onlyWriter struct{ io.Writer }

// send sends a held answer, changed or not. A client that has gone is nobody to tell.
func (a *answer) send() {
	header := a.Header()
	changed, err := a.revise(header.Get("Content-Encoding"))
	if err == nil && changed == nil {
		_ = a.letGo()
		return
	}
	a.state = passing
	// They speak of the body that is replaced. A length would keep trailers from being sent.
	for _, name := range []string{"Content-Encoding", "Content-Length", "Etag", "Content-Md5", "Digest", "Content-Digest", "Repr-Digest"} {
		header.Del(name)
	}
	if err != nil {
		web.WriteError(a.ResponseWriter, web.MatrixWire, err)
		return
	}
	if !hasTrailers(header) {
		header.Set("Content-Length", strconv.Itoa(len(changed)))
	}
	a.ResponseWriter.WriteHeader(a.status)
	_, _ = a.ResponseWriter.Write(changed)
}

// revise returns the body to send in the place of what is held; nil for that.
func (a *answer) revise(encoding string) ([]byte, error) {
	plain, ok := decode(encoding, a.body)
	switch {
	case ok:
		return a.change.revise(a.gateway, a.request, plain)
	case a.change.reviseUnread != nil:
		return a.change.reviseUnread(a.gateway, a.request)
	}
	return nil, nil
}

// hasTrailers reports whether trailers were set that nobody had announced.
func hasTrailers(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

// FlushError flushes what passes. What is held is not complete.
func (a *answer) FlushError() error {
	if a.state == held {
		return nil
	}
	a.state = passing // a flush before any header sends 200
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// Flush is FlushError for those who ask for an http.Flusher, which has no way to tell of an error.
func (a *answer) Flush() { _ = a.FlushError() }

// Hijack hands the connection over. The answer is the caller's from then on.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(a.ResponseWriter).Hijack()
	if err == nil {
		a.state, a.keep = passing, false
	}
	return conn, buffered, err
}

// Push asks for an HTTP/2 push.
func (a *answer) Push(target string, o *http.PushOptions) error {
	if pusher, ok := a.ResponseWriter.(http.Pusher); ok {
		return pusher.Push(target, o)
	}
	return http.ErrNotSupported
}

// Unwrap lets http.ResponseController reach what is below.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
