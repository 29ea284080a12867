package gateway

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

func formRequest(body io.Reader) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/_matrix/client/v3/x", body)
	r.Header.Set("Content-Type", urlencodedType)
	return r
}

func codeOf(err error) model.Code {
	if err == nil {
		return ""
	}
	return model.AsError(err).Code
}

// TestForms: forms are in memory within bounds, and go on as they came.
func TestForms(t *testing.T) {
	t.Run("a body goes on as it came, however it comes", func(t *testing.T) {
		body := strings.Repeat("a=b&", 10_000) + "access_token=tok"
		for name, reader := range map[string]io.Reader{
			"at once": strings.NewReader(body), "byte by byte": iotest.OneByteReader(strings.NewReader(body)), "with its end": iotest.DataErrReader(strings.NewReader(body)),
		} {
			g, r := &Gateway{}, formRequest(reader)
			found, err := g.Read(r)
			if err != nil || found.token != "tok" {
				t.Fatalf("%s: got %q, %v", name, found.token, err)
			}
			if again, err := io.ReadAll(r.Body); err != nil || string(again) != body {
				t.Errorf("%s: %d bytes go on, %v", name, len(again), err)
			}
			if g.forms.taken.Load() < int64(len(body)) {
				t.Errorf("%s: the room is not counted", name)
			}
			if found.Release(); g.forms.taken.Load() != 0 {
				t.Errorf("%s: %d bytes stay taken", name, g.forms.taken.Load())
			}
		}
	})
	t.Run("media are not read", func(t *testing.T) {
		r := formRequest(iotest.ErrReader(errors.New("it was read")))
		r.Header.Set("Content-Type", "image/png")
		if _, err := new(Gateway).Read(r); err != nil {
			t.Error(err)
		}
	})
	t.Run("what fails takes no room", func(t *testing.T) {
		endless := iotest.OneByteReader(strings.NewReader(strings.Repeat("a", bound.ForwardedForm+1)))
		for name, test := range map[string]struct {
			body io.Reader
			want model.Code
		}{
			"too large":         {io.MultiReader(endless), model.TooLarge},
			"broken off":        {io.MultiReader(strings.NewReader("access_token=tok"), iotest.ErrReader(io.ErrUnexpectedEOF)), model.InvalidParam},
			"limited by others": {http.MaxBytesReader(nil, io.NopCloser(strings.NewReader("abc")), 1), model.TooLarge},
		} {
			g := &Gateway{}
			found, err := g.Read(formRequest(test.body))
			if codeOf(err) != test.want || found.token != "" || g.forms.taken.Load() != 0 {
				t.Errorf("%s: got %v, %d bytes stay taken", name, err, g.forms.taken.Load())
			}
			found.Release()
		}
	})
	t.Run("all together have a bound", func(t *testing.T) {
		g := &Gateway{}
		var held []Reading
		for {
			found, err := g.Read(formRequest(strings.NewReader(strings.Repeat("a", bound.ForwardedForm))))
			if err != nil {
				if model.AsError(err).Code != model.TemporarilyDown || model.AsError(err).Retry == 0 {
					t.Fatal(err)
				}
				break
			}
			held = append(held, found)
		}
		if taken := g.forms.taken.Load(); taken > bound.ForwardedForms || len(held) < 8 {
			t.Errorf("%d forms hold %d bytes", len(held), taken)
		}
		for _, found := range held {
			found.Release()
		}
		if _, err := g.Read(formRequest(strings.NewReader("a=b"))); err != nil {
			t.Errorf("there is room again: %v", err)
		}
	})
}
