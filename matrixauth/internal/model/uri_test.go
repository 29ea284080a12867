package model

import "testing"

func TestIsBrowserScheme(t *testing.T) { // REG-35
	for _, scheme := range []string{"javascript", "JavaScript", "data", "vbscript", "blob", "file", "about", "filesystem", "view-source", "ftp", "ws", "wss"} {
		if !IsBrowserScheme(scheme) {
			t.Errorf("%s is let through", scheme)
		}
	}
	for _, scheme := range []string{"", "http", "https", "com.example.app", "element", "mailto", "javascript.example"} {
		if IsBrowserScheme(scheme) {
			t.Errorf("%s is not let through", scheme)
		}
	}
}

func TestIsInvisible(t *testing.T) { // HTTP-9
	for _, r := range "\x00\n\x1b\x7f\u0085\u00ad\u034f\u061c\u115f\u200b\u200d\u200e\u2028\u2029\u202e\u2066\u2800\u3164\ufeff\uffa0\U000e0041" {
		if !IsInvisible(r) {
			t.Errorf("%U is taken as visible", r)
		}
	}
	for _, r := range "a1. ä\u0301\u05d0\u200aß漢🙂\ufe0f\ue000" {
		if IsInvisible(r) {
			t.Errorf("%U is taken as invisible", r)
		}
	}
}
