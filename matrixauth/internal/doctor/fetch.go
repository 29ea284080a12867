package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// answer is an answer that the doctor looks at.
type answer struct {
	status int
	header http.Header
	// at is the address that answered, behind all redirects that were followed.
	at *url.URL
	// body is nil if the answer is not a JSON object, and mistake says why it is none.
	body    map[string]any
	mistake error
	// foreign reports whether the body is not UTF-8. Browsers put marks in the place of what they cannot read.
	foreign bool
	// marked reports whether a byte order mark stands before the object. Browsers read past it; RFC 8259 section 8.1
	// forbids it, and most other readers stop.
	marked bool
}

func (a answer) text(name string) string {
	text, _ := a.body[name].(string)
	return text
}

// isJSON reports whether an answer says of itself that it is JSON.
func (a answer) isJSON() bool {
	kind, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

func (d *Visit) get(ctx context.Context, base, path, token string) (answer, error) {
	return d.send(ctx, http.MethodGet, base, path, token)
}

func (d *Visit) send(ctx context.Context, method, base, path, token string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(base, "/")+path, nil)
	if err != nil {
		return answer{}, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return d.do(request)
}

// maxAnswer bounds what the doctor reads of an answer, in bytes.
const maxAnswer = 64 << 10

func (d *Visit) do(request *http.Request) (answer, error) {
	response, err := d.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	answer := answer{status: response.StatusCode, header: response.Header, at: request.URL}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return answer, err
	}
	answer.read(text)
	return answer, nil
}

// read reads a body as browsers do: as UTF-8 whatever the header says, without the byte order mark.
func (a *answer) read(text []byte) {
	a.foreign = !utf8.Valid(text)
	text, a.marked = bytes.CutPrefix(text, []byte("\ufeff"))
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // a number that is too large for us is none of our business
	a.mistake = decoder.Decode(&a.body)
	switch {
	case errors.Is(a.mistake, io.EOF):
		a.mistake = errors.New("it is empty")
	case a.mistake == nil && a.body == nil:
		a.mistake = errors.New("it is null")
	case a.mistake == nil:
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			a.mistake = errors.New("something stands behind the object")
		}
	}
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(a.mistake, &wrong) {
		a.mistake = errors.New("it is of type " + wrong.Value)
	}
	if a.mistake != nil {
		a.body = nil // somebody else's answer, and judged as such
	}
}

// explain describes a failure of the network without the address, which the finding names.
func explain(err error) string {
	var address *url.Error
	if errors.As(err, &address) {
		err = address.Err
	}
	return err.Error()
}
