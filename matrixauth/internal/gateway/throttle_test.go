package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestThrottling: requests are looked at for who must wait only while somebody must.
func TestThrottling(t *testing.T) {
	d := newDesk()
	dead := Refusal{Token: invented(1), Dead: true, IP: "192.0.2.1"}
	for n := range refusalBurst - 1 {
		d.Note(dead)
		d.tell(t, false)
		if d.throttling.Load() {
			t.Fatalf("after %d refusals somebody must wait", n+1)
		}
	}
	d.Note(dead)
	if !d.throttling.Load() {
		t.Fatal("nobody must wait")
	}
	d.clock.Move(refusalEvery / 2)
	if wait, must := d.Wait(dead.Token); !must || wait != refusalEvery/2 {
		t.Errorf("half of the time is over, and it must wait: %v, %v", wait, must)
	}
	d.tell(t, false)
	if !d.throttling.Load() {
		t.Error("who must wait is forgotten")
	}
	d.clock.Move(refusalEvery / 2)
	d.tell(t, false)
	if d.throttling.Load() {
		t.Error("it has waited, and requests are looked at")
	}
}

// TestThrottlingOfOne: what is over for many does not end it for one.
func TestThrottlingOfOne(t *testing.T) {
	d := newDesk()
	for n := range 50 {
		d.Note(Refusal{Token: invented(n), Dead: true, IP: fmt.Sprintf("192.0.2.%d", n)})
	}
	d.clock.Move(forgetAfter)
	for range refusalBurst {
		d.Note(Refusal{Token: invented(1000), Dead: true, IP: "198.51.100.1"})
	}
	d.tell(t, false)
	if len(d.tokens) != 1 || !d.throttling.Load() {
		t.Errorf("%d tokens are remembered, and somebody must wait: %v", len(d.tokens), d.throttling.Load())
	}
}

// TestPreflightNeverWaits: a browser asks whether it may ask, and cannot be told to wait (CORS).
func TestPreflightNeverWaits(t *testing.T) {
	d := newDesk()
	for range refusalBurst {
		d.Note(Refusal{Token: model.HashToken("x"), Dead: true, IP: "192.0.2.1"})
	}
	r := httptest.NewRequest(http.MethodOptions, "/_matrix/client/v3/sync", nil)
	r.Header.Set("Authorization", "Bearer x")
	if _, err := New(Config{Refusals: d.Refusals}).Throttle(r); err != nil {
		t.Error(err)
	}
}

// TestRoomOfANetwork: a network fills its own room, to the token, and then its oldest give way.
func TestRoomOfANetwork(t *testing.T) {
	d := newDesk()
	for n := range bound.RefusedTokensOfNetwork {
		d.Note(Refusal{Token: invented(n), Dead: true, IP: "192.0.2.1"})
	}
	if len(d.tokens) != bound.RefusedTokensOfNetwork {
		t.Errorf("%d are remembered", len(d.tokens))
	}
	d.Note(Refusal{Token: invented(-1), Dead: true, IP: "192.0.2.1"})
	if want := bound.RefusedTokensOfNetwork*3/4 + 1; len(d.tokens) != want {
		t.Errorf("%d are remembered, want %d", len(d.tokens), want)
	}
}

// TestUnloggedAreTold: what had no line of its own is told by network, but for what was to be expected.
func TestUnloggedAreTold(t *testing.T) {
	d := newDesk()
	const more = 7
	for n := range linesBurst + more {
		d.Note(Refusal{Token: invented(n), Dead: true, IP: "192.0.2.1"})
	}
	for n := range 5 {
		d.Note(Refusal{Token: invented(10_000 + n), Expected: true, IP: "192.0.2.1"})
	}
	told := 0
	for _, l := range d.tell(t, true) {
		if l.Network == "192.0.2.1" {
			told += l.Refused
		}
	}
	if told != more {
		t.Errorf("%d are told, want %d", told, more)
	}
}
