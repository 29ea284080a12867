package web

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func TestStripCookies(t *testing.T) {
	for name, test := range map[string]struct{ given, want []string }{
		"none":                  {nil, nil},
		"others alone":          {[]string{"a=1;  b=\"2\" ;c"}, []string{"a=1;  b=\"2\" ;c"}},
		"ours alone":            {[]string{"__Host-matrix_auth=x"}, nil},
		"ours twice":            {[]string{"matrix_auth=x; __Secure-matrix_auth=y"}, nil},
		"first":                 {[]string{"__Host-matrix_auth=x; a=1;b = 2"}, []string{"a=1;b = 2"}},
		"in the middle":         {[]string{"a=1; __Secure-matrix_auth=x;b=2"}, []string{"a=1;b=2"}},
		"last":                  {[]string{"a=1; matrix_auth=x"}, []string{"a=1"}},
		"blanks around":         {[]string{"a=1;\t matrix_auth =x; b=2"}, []string{"a=1; b=2"}},
		"without a value":       {[]string{"matrix_auth; a=1"}, []string{"a=1"}},
		"with signs in it":      {[]string{"matrix_auth=a=b; a=1"}, []string{"a=1"}},
		"in several lines":      {[]string{"a=1", "matrix_auth=x", "b=2; matrix_auth=y"}, []string{"a=1", "b=2"}},
		"a name that holds it":  {[]string{"my_matrix_auth=1; matrix_authority=2"}, []string{"my_matrix_auth=1; matrix_authority=2"}},
		"a value that holds it": {[]string{"a=matrix_auth=1; b=__Host-matrix_auth"}, []string{"a=matrix_auth=1; b=__Host-matrix_auth"}},
		"only blanks remain":    {[]string{"matrix_auth=x; "}, nil},
		"what is no cookie":     {[]string{";;=; \xff=matrix_auth"}, []string{";;=; \xff=matrix_auth"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{"Accept": {"*/*"}}
			want := h.Clone()
			if test.given != nil {
				h["Cookie"] = test.given
			}
			if test.want != nil {
				want["Cookie"] = test.want
			}
			if StripCookies(h); !reflect.DeepEqual(h, want) {
				t.Errorf("got %q, want %q", h, want)
			}
		})
	}
}

// FuzzStripCookies: what remains has no cookie of ours, and every other that there was, in their order.
func FuzzStripCookies(f *testing.F) {
	for _, seed := range []string{"", "a=1; matrix_auth=2", "__Host-matrix_auth=a;b", ";matrix_auth=;;a", "matrix_auth=\"a;b\""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		h := http.Header{"Cookie": {line}}
		StripCookies(h)
		var want []string
		for pair := range strings.SplitSeq(line, ";") {
			if !isOurs(pair) {
				want = append(want, strings.Trim(pair, " \t"))
			}
		}
		var got []string
		for _, rest := range h["Cookie"] {
			for pair := range strings.SplitSeq(rest, ";") {
				got = append(got, strings.Trim(pair, " \t"))
			}
		}
		if g, w := strings.Trim(strings.Join(got, ";"), ";"), strings.Trim(strings.Join(want, ";"), ";"); g != w {
			t.Errorf("%q becomes %q, want %q", line, g, w)
		}
	})
}
