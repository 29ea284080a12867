package model

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// claimedToken is a token of a kind that makes claims, with tags that prove nothing.
func claimedToken(tb testing.TB, kind TokenKind, claims Claims, tag byte) string {
	tb.Helper()
	signed, ok := NewClaims(claims).SignedBytes(kind)
	if !ok {
		tb.Fatalf("no claims are made of the session %q", claims.SessionID)
	}
	tags := Tags{Made: [tagSize]byte(bytes.Repeat([]byte{tag}, tagSize)), Authentic: [tagSize]byte(bytes.Repeat([]byte{^tag}, tagSize))}
	return NewSelfDescribingToken(kind, signed, tags)
}

// seedClaims are the edges of what a token can say.
func seedClaims() []Claims {
	const id = "01KB1YV5ZK8WXM4T3QF9R2A7CD"
	return []Claims{
		{SessionID: strings.Repeat("0", len(id)), MintedAt: time.Unix(0, 0)},
		{SessionID: id, Key: 7, Server: ServerMark("example.com"), Generation: 41, MintedAt: time.Unix(1_800_000_000, 0), Life: 5 * time.Minute},
		{
			SessionID: "7" + strings.Repeat("Z", len(id)-1), Narrowed: true, Key: 255, Server: [2]byte{255, 255},
			Generation: maxGen, MintedAt: time.Unix(1<<32-1, 0), Life: maxLife * time.Second,
		},
	}
}

// FuzzDescribe holds that a token is taken apart only if it is the one text of what it says: two texts of one token
// would have two hashes, so that one of them were without a row. What stands before the checksum is the fuzzer's.
func FuzzDescribe(f *testing.F) {
	for i, claims := range seedClaims() {
		for _, kind := range []TokenKind{CompatAccess, CompatRefresh, OAuthAccess, OAuthRefresh} {
			token := claimedToken(f, kind, claims, byte(i*0x7f))
			f.Add(token[:len(token)-1-sumLength])
		}
	}
	old := NewToken(CompatAccess)
	f.Add(old[:len(old)-1-sumLength])
	for _, body := range []string{strings.Repeat("-", bodyLength), strings.Repeat("z", bodyLength), "", strings.Repeat("_", bodyLength)} {
		f.Add("mct_" + body)
	}
	// 2^64 in the place of 0: the same bytes for who reads 64 bits of it.
	zero := claimedToken(f, CompatAccess, seedClaims()[0], 0)
	f.Add(strings.Replace(zero[:len(zero)-1-sumLength], strings.Repeat("0", groupLength), "LygHa16AHYG", 1))
	f.Fuzz(func(t *testing.T, body string) {
		if _, ok := Describe(body); ok && !strings.HasSuffix(body, "_"+checksum(body[:len(body)-1-sumLength])) {
			t.Errorf("%q is taken apart with a wrong checksum", body)
		}
		token := body + "_" + checksum(body)
		d, ok := Describe(token)
		if !ok {
			return
		}
		if kind, ok := ParseToken(token); !ok || kind != d.Kind || !strings.HasPrefix(token, kind.row().prefix) {
			t.Errorf("%q is described as %s and parsed as %s", token, d.Kind, kind)
		}
		if again := NewSelfDescribingToken(d.Kind, d.Signed, d.Tags); again != token {
			t.Errorf("%q is written again as %q", token, again)
		}
		if signed, ok := d.Claims.SignedBytes(d.Kind); !ok || !bytes.Equal(signed, d.Signed) {
			t.Errorf("the claims %+v of %q are signed as %x, and were as %x", d.Claims, token, signed, d.Signed)
		}
		if end := d.Claims.ExpiresAt(); end.IsZero() != (d.Claims.Life == 0) || !end.IsZero() && end.Before(d.Claims.MintedAt) {
			t.Errorf("%q of %s ends at %s", token, d.Claims.MintedAt, end)
		}
	})
}
