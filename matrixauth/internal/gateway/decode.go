package gateway

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// decode decompresses a complete body. It reports false for one that is broken, larger than bound.HeldAnswer, or in
// a coding that nobody has for the few bytes of a refusal.
func decode(encoding string, body []byte) (plain []byte, ok bool) {
	switch strings.ToLower(encoding) {
	case "", "identity":
		return body, true
	case "gzip", "x-gzip":
		r, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, false
		}
		return readAll(r)
	case "deflate":
		// RFC 9110 section 8.4.1.2 means zlib; some send the bare stream.
		if r, err := zlib.NewReader(bytes.NewReader(body)); err == nil {
			return readAll(r)
		}
		return readAll(flate.NewReader(bytes.NewReader(body)))
	case "zstd":
		d, err := zstdDecoder()
		if err != nil {
			return nil, false
		}
		plain, err = d.DecodeAll(body, nil)
		return plain, err == nil && len(plain) <= bound.HeldAnswer
	}
	return nil, false
}

// zstdWindow is the largest window that HTTP allows, in bytes (RFC 9659); who streams declares it for the
// smallest body too.
const zstdWindow = 8 << 20

// zstdDecoder is for whole bodies alone, and may be used by many at once.
var zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(zstdWindow))
})

func readAll(r io.Reader) ([]byte, bool) {
	plain, err := io.ReadAll(io.LimitReader(r, bound.HeldAnswer+1))
	return plain, err == nil && len(plain) <= bound.HeldAnswer
}
