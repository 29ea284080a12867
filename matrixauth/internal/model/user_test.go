package model

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckLocalpart(t *testing.T) { // CREATE-4, CREATE-6
	for localpart, valid := range map[string]bool{
		"alice": true, "a": true, "a.b_c=d-e/f+0": true, "0a": true, "-": true,
		"": false, "Alice": false, "ali ce": false, "älice": false, "a@b": false, "a:b": false, "a\x00": false, "a\n": false,
		"123": false, "_bridge": false,
		strings.Repeat("a", 255-len("@:example.com")):   true,
		strings.Repeat("a", 255-len("@:example.com")+1): false,
	} {
		err := CheckLocalpart(localpart, "example.com")
		if (err == nil) != valid {
			t.Errorf("%q: %v", localpart, err)
		}
		if err != nil && !errors.Is(err, InvalidUsername) {
			t.Errorf("%q: %v", localpart, err)
		}
	}
}

func TestParseMatrixID(t *testing.T) {
	for id, want := range map[string][2]string{
		"@alice:example.com": {"alice", "example.com"}, "@a:b:8448": {"a", "b:8448"}, "@Alice:[::1]": {"Alice", "[::1]"},
		"alice:example.com": {}, "@alice": {}, "@:example.com": {}, "@alice:": {}, "": {}, "@": {},
	} {
		localpart, server, ok := ParseMatrixID(id)
		if localpart != want[0] || server != want[1] || ok != (want[0] != "") {
			t.Errorf("%q is %q of %q, %v", id, localpart, server, ok)
		}
	}
}

func TestCheckDeviceID(t *testing.T) { // SCOPE-6, SYN-6
	for id, valid := range map[string]bool{
		NewDeviceID(): true, "A": true, "my phone": true, "手机": true, strings.Repeat("x", 255): true,
		"": false, strings.Repeat("x", 256): false, "a\x00": false, "a\r\nb": false, "a\x7f": false, "a\xff": false,
	} {
		if err := CheckDeviceID(id); (err == nil) != valid {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestCheckNewDeviceID(t *testing.T) { // HTTP-9
	for id, valid := range map[string]bool{
		NewDeviceID(): true, "my phone": true, "手机": true, "a\u00a0b": true,
		"": false, "a\x00": false, "a\u0085": false, "a\u009b31m": false, "a\u202eb": false, "a\u200b": false, "a\u200d": false,
		"\ufeffa": false, "a\u2028b": false, "a\u2029b": false, "a\u00adb": false, "a\U000e0041": false,
	} {
		if err := CheckNewDeviceID(id); (err == nil) != valid {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestIntrospectedScope(t *testing.T) { // SYN-6
	for scope, want := range map[string]string{
		CompatScope(false):                    ScopeAPI + " " + ScopeAPIUnstable,
		CompatScope(true):                     ScopeAPI + " " + ScopeAPIUnstable + " " + ScopeSynapseAdmin,
		ScopeAPIUnstable:                      ScopeAPI + " " + ScopeAPIUnstable,
		ScopeDevicePrefix + "X " + ScopeAPI:   ScopeAPI + " " + ScopeAPIUnstable,
		ScopeDevicePrefixUnstable + "X other": "other",
		"":                                    "",
	} {
		if got := IntrospectedScope(scope); got != want {
			t.Errorf("%q is seen as %q, want %q", scope, got, want)
		}
	}
	if HasScope(CompatScope(false), ScopeSynapseAdmin) || !HasScope(CompatScope(true), ScopeSynapseAdmin) {
		t.Error("HasScope is wrong")
	}
}

func FuzzCheckLocalpart(f *testing.F) {
	for _, seed := range []string{"alice", "", "_x", "12", "a b", "ä", "a:b", strings.Repeat("a", 300)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, localpart string) {
		if CheckLocalpart(localpart, "example.com") != nil {
			return
		}
		back, server, ok := ParseMatrixID(MatrixID(localpart, "example.com"))
		if !ok || back != localpart || server != "example.com" {
			t.Errorf("%q comes back as %q", localpart, back)
		}
	})
}
