package caddymodule

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// TestInFront: the doctor tells of what requests of clients meet before matrix_auth, on all of its routes or on
// some, and of nothing that they do not meet.
func TestInFront(t *testing.T) {
	const hash = "$2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG"
	for name, test := range map[string]struct {
		rest string
		want []string
	}{
		"nothing":                     {"", nil},
		"a password for all":          {"basic_auth {\n\tbob " + hash + "\n}", []string{"in-front-of-us/password"}},
		"a password for a part of us": {"basic_auth /account/* {\n\tbob " + hash + "\n}", []string{"in-front-of-us/password"}},
		"a password for one method":   {"@x method OPTIONS\nbasic_auth @x {\n\tbob " + hash + "\n}", []string{"in-front-of-us/password"}},
		"a password for others":       {"basic_auth /admin/* {\n\tbob " + hash + "\n}", nil},
		"a password for all but ours": {"@private not path /_matrix/* /_synapse/* /.well-known/* /authorize /authorize/* /oauth2/* /account/*\nbasic_auth @private {\n\tbob " + hash + "\n}", nil},
		"another sign-in for all":     {"forward_auth 127.0.0.1:1 {\n\turi /api/verify\n}", []string{"in-front-of-us/other-sign-in"}},
		"another sign-in for a part":  {"forward_auth /_matrix/client/v3/login 127.0.0.1:1 {\n\turi /api/verify\n}", []string{"in-front-of-us/other-sign-in"}},
		"another sign-in for others":  {"forward_auth /private/* 127.0.0.1:1 {\n\turi /api/verify\n}", nil},
		"a redirect for a part":       {"redir /account/* https://old.example.test{uri}", []string{"in-front-of-us/shut-out"}},
		"a redirect of the root":      {"redir / https://app.example.test", nil},
		"a rewrite of a part":         {"rewrite /oauth2/* /elsewhere", nil},
		"an answer behind us":         {"respond /_matrix/client/v3/login no", nil},
		"an abort behind us":          {"@x not remote_ip 10.0.0.0/8\nabort @x", nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.start(func(s *setup) { s.Rest = test.rest })
			wantInFront(t, h, test.want)
		})
	}
	// What stands before us only in a site that has its handlers in an order of its own.
	for name, test := range map[string]struct {
		before string
		want   []string
	}{
		"nobody but the neighbours":  {"@x not remote_ip 10.0.0.0/8 127.0.0.1\nabort @x", []string{"in-front-of-us/shut-out"}},
		"nobody but they, client_ip": {"@x not client_ip private_ranges\nrespond @x no 403", []string{"in-front-of-us/shut-out"}},
		"somebody is kept out":       {"@x remote_ip 198.51.100.7\nabort @x", nil},
		"a program is kept out":      {"@x header User-Agent *BadBot*\nrespond @x 403", nil},
		"an error for a part":        {"error /oauth2/* 404", []string{"in-front-of-us/shut-out"}},
		"files for all":              {"file_server", []string{"in-front-of-us/shut-out"}},
		"files, passing through":     {"file_server {\n\tpass_thru\n}", nil},
		"a handle for a part":        {"handle /_matrix/client/v3/login {\n\trespond no\n}", []string{"in-front-of-us/shut-out"}},
		"a handle for others":        {"handle /admin/* {\n\trespond no\n}", nil},
		"a proxy for a part":         {"reverse_proxy /_matrix/client/v1/auth_metadata localhost:1", []string{"in-front-of-us/shut-out"}},
		"the first of a group":       {"handle /x/* {\n\trespond no\n}\nhandle {\n\tvars a b\n}", nil},
	} {
		t.Run("in a route, "+name, func(t *testing.T) {
			h := newHouse(t)
			h.start(func(s *setup) {
				// The site of the house joins from its own route; what counts is the host of the issuer.
				s.Issuer = "https://b.test"
				s.Beside = "http://b.test {\n\troute {\n" + test.before + "\nmatrix_auth\n}\n}"
			})
			wantInFront(t, h, test.want)
		})
	}
}

func wantInFront(t *testing.T, h *house, want []string) {
	t.Helper()
	diagnosis, err := matrixauth.Examine.Do(t.Context(), h.operator(), matrixauth.Examination{})
	must(t, err)
	var got []string
	for _, f := range diagnosis.Findings {
		if strings.HasPrefix(f.ID, "in-front-of-us/") {
			got = append(got, f.ID)
			if f.What == "" || f.Where == "" || f.Change == "" {
				t.Errorf("it does not say all: %+v", f)
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
