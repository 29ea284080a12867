package web

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

func wantCode(t *testing.T, err error, code model.Code) {
	t.Helper()
	if code == "" {
		if err != nil {
			t.Errorf("got %v", err)
		}
		return
	}
	if !errors.Is(err, code) {
		t.Errorf("got %v, want %s", err, code)
	}
}

func TestReadObject(t *testing.T) { // LEG-7, LEG-8
	for name, test := range map[string]struct {
		body string
		want model.Code
	}{
		"an_object":                    {`{"a":1}`, ""},
		"an_empty_object":              {` {} `, ""},
		"nothing":                      {``, model.NotJSON},
		"no_json":                      {`user=alice`, model.NotJSON},
		"half_an_object":               {`{"a":`, model.NotJSON},
		"two_objects":                  {`{}{}`, model.NotJSON},
		"broken_utf8":                  {"{\"a\":\"\xff\"}", model.NotJSON},
		"a_list":                       {`[1]`, model.BadJSON},
		"a_string":                     {`"a"`, model.BadJSON},
		"null":                         {`null`, model.BadJSON},
		"nested_beyond_all_reason":     {strings.Repeat(`{"a":`, 10001) + "1" + strings.Repeat("}", 10001), model.NotJSON},
		"as_much_as_is_read":           {`{"a":"` + strings.Repeat("x", bound.RequestBody-8) + `"}`, ""},
		"a_byte_more_than_that":        {`{"a":"` + strings.Repeat("x", bound.RequestBody-7) + `"}`, model.TooLarge},
		"much_more_and_no_json_either": {strings.Repeat("x", 1<<20), model.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(test.body))
			r.Header.Set("Content-Type", "text/plain")
			_, err := ReadObject(httptest.NewRecorder(), r)
			wantCode(t, err, test.want)
		})
	}
}

func TestObject(t *testing.T) {
	o, err := ParseObject([]byte(`{"s":"x","n":1,"b":true,"o":{"a":"b"},"z":null,"nul":"a\u0000b","S":"other"}`))
	if err != nil {
		t.Fatal(err)
	}
	text := func(name, want string, code model.Code) {
		t.Helper()
		got, err := o.String(name)
		wantCode(t, err, code)
		if got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	text("s", "x", "")
	text("S", "other", "") // names are exact
	text("missing", "", "")
	text("z", "", "")
	text("n", "", model.BadJSON)
	text("b", "", model.BadJSON)
	text("nul", "", model.InvalidParam)
	for name, want := range map[string]model.Code{"b": "", "missing": "", "z": "", "s": model.BadJSON, "n": model.BadJSON, "o": model.BadJSON} { // LEG-25
		got, err := o.Bool(name)
		wantCode(t, err, want)
		if got != (name == "b") {
			t.Errorf("%s is %v", name, got)
		}
	}
	for name, want := range map[string]model.Code{"o": "", "missing": "", "z": "", "s": model.BadJSON} {
		got, err := o.Object(name)
		wantCode(t, err, want)
		if (got != nil) != (name == "o") {
			t.Errorf("%s is %v", name, got)
		}
	}
	if o.Has("z") || !o.Has("n") {
		t.Error("Has is wrong")
	}
}

func TestReadForm(t *testing.T) { // TOK-1, HTTP-10
	const form = "application/x-www-form-urlencoded"
	for name, test := range map[string]struct {
		kind, query, body string
		want              model.Code
		token             string
	}{
		"a_form":                    {form, "", "token=a&hint=b", "", "a"},
		"with_a_charset":            {form + "; charset=UTF-8", "", "token=a", "", "a"},
		"a_query_does_not_count":    {form, "?token=q", "hint=b", "", ""},
		"a_query_does_not_override": {form, "?token=q", "token=a", "", "a"},
		"json":                      {"application/json", "", `{"token":"a"}`, model.UnsupportedContent, ""},
		"no_content_type":           {"", "", "token=a", model.UnsupportedContent, ""},
		"a_repeated_parameter":      {form, "", "token=a&token=b", model.InvalidParam, ""},
		"a_bad_escape":              {form, "", "token=%zz", model.InvalidParam, ""},
		"too_large":                 {form, "", "token=" + strings.Repeat("x", bound.RequestBody), model.TooLarge, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/"+test.query, strings.NewReader(test.body))
			r.Header.Set("Content-Type", test.kind)
			got, err := ReadForm(httptest.NewRecorder(), r)
			wantCode(t, err, test.want)
			if got["token"] != test.token {
				t.Errorf("token is %q", got["token"])
			}
		})
	}
}

// TestBodyThatBreaksOff: a body that did not arrive is nobody's mistake, and no 4xx: a client whose refresh was cut by a
// network, or by a timeout of the server, must not take its session for over (REF-8).
func TestBodyThatBreaksOff(t *testing.T) {
	for name, read := range map[string]func(http.ResponseWriter, *http.Request) error{
		"a_form":    func(w http.ResponseWriter, r *http.Request) error { _, err := ReadForm(w, r); return err },
		"an_object": func(w http.ResponseWriter, r *http.Request) error { _, err := ReadObject(w, r); return err },
	} {
		t.Run(name, func(t *testing.T) {
			body := io.MultiReader(strings.NewReader("grant_type=refresh_to"), iotest.ErrReader(os.ErrDeadlineExceeded))
			r := httptest.NewRequest(http.MethodPost, "/", body)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			err := read(httptest.NewRecorder(), r)
			wantCode(t, err, model.ClientGone)
			for _, wire := range Wires {
				if status := StatusOf(wire, err); status != http.StatusServiceUnavailable {
					t.Errorf("the %v wire says %d", wire, status)
				}
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the log is not told why: %v", err)
			}
		})
	}
}

func TestBearer(t *testing.T) {
	for name, test := range map[string]struct {
		header, query, want string
	}{
		"a_header":                       {"Bearer abc", "", "abc"},
		"the_scheme_in_any_case":         {"bEARER  abc ", "", "abc"},
		"the_header_before_the_query":    {"Bearer abc", "?access_token=q", "abc"},
		"a_query":                        {"", "?access_token=q", "q"},
		"another_scheme":                 {"Basic abc", "", ""},
		"a_scheme_alone":                 {"Bearer", "", ""},
		"a_scheme_and_nothing":           {"Bearer  ", "", ""},
		"nothing":                        {"", "", ""},
		"an_empty_query":                 {"", "?access_token=", ""},
		"another_parameter_that_ends_so": {"", "?x_access_token=q", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/"+test.query, nil)
			r.Header.Set("Authorization", test.header)
			if got, ok := Bearer(r); got != test.want || ok != (test.want != "") {
				t.Errorf("got %q %v", got, ok)
			}
		})
	}
}

func FuzzParseObject(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":{"b":[1,2,{"c":null}]}}`, `{"a":"\u0000"}`, "{\"a\":\"\xff\"}", `[]`, `{"a":1,"a":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := ParseObject(body)
		if (o == nil) == (err == nil) {
			t.Fatalf("%v and %v", o, err)
		}
		for name := range o {
			text, err := o.String(name)
			if err == nil && strings.ContainsRune(text, 0) {
				t.Errorf("a NUL passed in %q", name)
			}
		}
	})
}
