package gateway

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// formKind says how the homeserver will read a body.
type formKind int

const (
	// opaque bodies hold no parameters: JSON, media, all that is no POST.
	opaque formKind = iota
	// urlencoded bodies are read into the parameters of the request.
	urlencoded
	// unclear ones may be, and it cannot be told what would be found in them.
	unclear
)

// formOf returns how Synapse, or rather the Twisted below it, reads a request's body. Only a POST's
// counts, by the first Content-Type. Python's mail parser reads that header, which knows comments and
// blanks anywhere; but whatever it makes a form of holds one of two words. Synapse means to refuse all
// multipart forms, for the memory that they cost it, so none is missed; but 1.136 looks for lower case
// alone, and reads the others.
func formOf(r *http.Request) formKind {
	if r.Method != http.MethodPost || r.Body == nil || r.Body == http.NoBody {
		return opaque
	}
	types := r.Header["Content-Type"]
	suspect := false
	for _, value := range types {
		suspect = suspect || containsFold(value, "x-www-form-urlencoded") || containsFold(value, "form-data")
	}
	if !suspect {
		return opaque
	}
	kind, _, _ := strings.Cut(types[0], ";")
	if len(types) == 1 && strings.EqualFold(strings.Trim(kind, " \t"), "application/x-www-form-urlencoded") {
		return urlencoded
	}
	return unclear
}

// containsFold reports whether text holds a word of lower-case ASCII, in whatever case.
func containsFold(text, word string) bool {
	for ; len(text) >= len(word); text = text[1:] {
		if strings.EqualFold(text[:len(word)], word) {
			return true
		}
	}
	return false
}

const (
	// firstRoom is what a form gets at first, in bytes, and twice as much each time that it does not do:
	// whoever sends slowly takes little.
	firstRoom = 4 << 10
	// formRetry is how long to wait when there is no room.
	formRetry = 5 * time.Second
)

// forms is the room for forms in memory.
type forms struct{ taken atomic.Int64 }

// take reads a request's body into memory and returns it; the next handler finds it in the request as it
// was. release gives the room back. Errors: TooLarge; InvalidParam for a body that broke off;
// TemporarilyDown while there is no room.
func (f *forms) take(r *http.Request) (form string, release func(), err error) {
	if r.ContentLength > bound.ForwardedForm {
		return "", nothing, tooLarge()
	}
	var text []byte
	var room int64
	release = func() { f.taken.Add(-room) }
	for ended := false; !ended; {
		if len(text) == cap(text) {
			more := max(firstRoom, int64(cap(text)))
			room += more
			if f.taken.Add(more) > bound.ForwardedForms {
				release()
				return "", nothing, model.NewError(model.TemporarilyDown).WithRetry(formRetry)
			}
			text = append(make([]byte, 0, room), text...)
		}
		n, err := r.Body.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		if ended = errors.Is(err, io.EOF); err != nil && !ended || len(text) > bound.ForwardedForm {
			release()
			return "", nothing, whyNot(err)
		}
	}
	form = string(text)
	r.Body = replay{strings.NewReader(form), r.Body}
	return form, release, nil
}

// whyNot is the answer to a body that could not be read, or was too large if err is nil or its end.
func whyNot(err error) error {
	var limited *http.MaxBytesError
	if err == nil || errors.Is(err, io.EOF) || errors.As(err, &limited) {
		return tooLarge()
	}
	return model.Errorf(model.InvalidParam, "the body broke off").WithCause(err)
}

func tooLarge() error { return model.NewError(model.TooLarge) }

// replay is a body that was read into memory.
type replay struct {
	io.Reader
	io.Closer
}
