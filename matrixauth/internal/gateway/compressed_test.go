package gateway_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/klauspost/compress/zstd"
)

// compressed is a body in a content coding.
func compressed(t testing.TB, coding, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "deflate":
		w = zlib.NewWriter(&out)
	case "bare deflate":
		w, err = flate.NewWriter(&out, flate.BestSpeed)
	case "zstd":
		w, err = zstd.NewWriter(&out, zstd.WithWindowSize(8<<20), zstd.WithSingleSegment(false))
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestCompressedRefusal: the homeserver, or a proxy behind us, compresses its answers.
func TestCompressedRefusal(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	token := h.Login("alice", house.Object{"refresh_token": true}).AccessToken
	h.Clock.Move(6 * time.Minute)
	for coding, name := range map[string]string{"gzip": "gzip", "deflate": "deflate", "bare deflate": "deflate", "zstd": "ZSTD"} {
		t.Run(coding, func(t *testing.T) {
			body := compressed(t, coding, house.HardRefusal)
			h.Answering(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json; charset=utf-8")
				w.Header().Set("Content-Encoding", name)
				w.Header().Set("Content-Length", fmt.Sprint(len(body)))
				w.Header().Set("ETag", `"abc"`)
				w.Header().Set("Vary", "Accept-Encoding")
				w.WriteHeader(http.StatusUnauthorized)
				for _, b := range body {
					if _, err := w.Write([]byte{b}); err != nil {
						t.Error(err)
					}
				}
			})
			a := h.Do(house.Call{Path: house.APIPaths[0], Bearer: token, Header: http.Header{"Accept-Encoding": {"gzip, zstd"}}})
			if a.Status != http.StatusUnauthorized || a.Body != house.SoftRefusal {
				t.Fatalf("got %d %q", a.Status, a.Body)
			}
			if h := a.Header; h.Get("Content-Encoding") != "" || h.Get("ETag") != "" || h.Get("Vary") != "Accept-Encoding" || h.Get("Content-Length") != fmt.Sprint(len(house.SoftRefusal)) {
				t.Errorf("headers: %v", h)
			}
		})
	}
}

// TestUnreadableRefusal: whatever compressed the refusal of an expired token, its client keeps its keys.
func TestUnreadableRefusal(t *testing.T) { // SOFT-2..5
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	token := h.Login("alice", house.Object{"refresh_token": true}).AccessToken
	for _, coding := range []string{"br", "gzip, zstd", "gzip", "deflate", "zstd"} {
		t.Run(coding, func(t *testing.T) {
			h.Answering(coded(coding, house.HardRefusal))
			read := func() house.Answer {
				return h.Do(house.Call{Path: house.APIPaths[0], Bearer: token, Header: http.Header{"Accept-Encoding": {coding}}})
			}
			if a := read(); a.Status != http.StatusUnauthorized || a.Body != house.HardRefusal || a.Header.Get("Content-Encoding") != coding {
				t.Errorf("a token that has not expired: %d %q", a.Status, a.Body)
			}
			h.Clock.Move(6 * time.Minute)
			defer h.Clock.Move(-6 * time.Minute)
			a := read()
			if a.Status != http.StatusUnauthorized || a.Header.Get("Content-Encoding") != "" || a.Header.Get("ETag") != "" {
				t.Errorf("%d %v", a.Status, a.Header)
			}
			if a.Errcode() != "M_UNKNOWN_TOKEN" || !strings.Contains(a.Body, `"soft_logout":true`) {
				t.Errorf("an expired token of a live session: %s", a.Body)
			}
		})
	}
}
