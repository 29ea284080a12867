package gateway

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// rawRequest is a request as a client sends it.
type rawRequest struct {
	method, target, body string
	headers              []string
}

func (q rawRequest) bytes() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: matrix.example.test\r\n", q.method, q.target)
	for _, line := range q.headers {
		b.WriteString(line + "\r\n")
	}
	if q.body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(q.body))
	}
	b.WriteString("\r\n" + q.body)
	return b.Bytes()
}

// form is a POST with a body of a content type.
func postOf(contentType, body string) rawRequest {
	return rawRequest{"POST", "/_matrix/client/v3/x", body, []string{"Content-Type: " + contentType}}
}

func getOf(target string, headers ...string) rawRequest {
	return rawRequest{"GET", "/_matrix/client/v3/x" + target, "", headers}
}

// verdict is what we make of a request.
type verdict struct {
	token   string
	refused model.Code
	// sent is what goes on to the homeserver.
	sent []byte
}

// judged has the gateway read a request and a proxy send it on; it reports false for one that Go's
// server does not take at all.
func judged(t *testing.T, raw []byte) (v verdict, ok bool) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		return v, false
	}
	found, err := new(Gateway).Read(r)
	defer found.Release()
	if err != nil {
		v.refused = model.AsError(err).Code
	}
	v.token = found.token
	out := r.Clone(t.Context())
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host = "http", "127.0.0.1"
	connection := out.Header["Connection"]
	for _, line := range connection { // what a proxy leaves out
		for name := range strings.SplitSeq(line, ",") {
			delete(out.Header, textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)))
		}
	}
	delete(out.Header, "Connection")
	if out.Body != nil {
		body, err := io.ReadAll(out.Body)
		if err != nil {
			return v, false
		}
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	var sent bytes.Buffer
	if err := out.Write(&sent); err != nil {
		return v, false
	}
	v.sent = sent.Bytes()
	return v, true
}

const urlencodedType = "application/x-www-form-urlencoded"

// ordinary are requests that must be read, and never refused, with the token that is in them.
var ordinary = map[string]struct {
	request rawRequest
	token   string
}{
	"nothing":                        {getOf(""), ""},
	"a header":                       {getOf("", "Authorization: Bearer tok"), "tok"},
	"a header in lower case":         {getOf("", "authorization: Bearer tok"), "tok"},
	"blanks around":                  {getOf("", "AUTHORIZATION: \t Bearer tok \t"), "tok"},
	"a header and a query":           {getOf("?a=b", "Authorization: Bearer tok"), "tok"},
	"basic":                          {getOf("", "Authorization: Basic dXNlcjpwYXNz"), ""},
	"federation":                     {getOf("", `Authorization: X-Matrix origin="a",key="b",sig="c"`), ""},
	"an empty header":                {getOf("?access_token=tok", "Accept: */*"), "tok"},
	"a query":                        {getOf("?access_token=tok"), "tok"},
	"a query behind others":          {getOf("?a=b&access_token=tok&c=d"), "tok"},
	"an empty token":                 {getOf("?access_token="), ""},
	"no value":                       {getOf("?access_token"), ""},
	"the first of two":               {getOf("?access_token=tok&access_token=two"), "tok"},
	"the first, though empty":        {getOf("?access_token=&access_token=two"), ""},
	"semicolons":                     {getOf("?a=b;access_token=tok;c"), "tok"},
	"a semicolon in the value":       {getOf("?access_token=tok;x"), "tok"},
	"the name in capitals":           {getOf("?Access_Token=tok"), ""},
	"the name escaped":               {getOf("?%61%63%63%65%73%73%5f%74%6f%6B%65%6e=tok"), "tok"},
	"the value escaped":              {getOf("?access_token=%74o%6b"), "tok"},
	"escapes of escapes":             {getOf("?access%255ftoken=tok"), ""},
	"plus signs":                     {getOf("?access_token=t+ok"), "t ok"},
	"plus in the name":               {getOf("?access+token=tok"), ""},
	"broken escapes":                 {getOf("?access_token=t%zzok%"), "t%zzok%"},
	"broken escapes elsewhere":       {getOf("?%zz&%&access_token=tok"), "tok"},
	"equals signs":                   {getOf("?access_token==tok="), "=tok="},
	"a second question mark":         {getOf("??access_token=no&access_token=tok"), "tok"},
	"many parameters":                {getOf("?" + strings.Repeat("a&", 3000) + "access_token=tok"), "tok"},
	"a JSON body":                    {postOf("application/json", `{"access_token":"tok"}`), ""},
	"a body without a type":          {rawRequest{"POST", "/_matrix/client/v3/x", "access_token=tok", nil}, ""},
	"a form":                         {postOf(urlencodedType, "access_token=tok"), "tok"},
	"a form in capitals":             {postOf(strings.ToUpper(urlencodedType), "access_token=tok"), "tok"},
	"a form with a charset":          {postOf(urlencodedType+"; charset=UTF-8", "a=b&access_token=tok"), "tok"},
	"a form with junk for a charset": {postOf(urlencodedType+`; ;charset="x`, "access_token=tok"), "tok"},
	"JSON that is called a form":     {postOf(urlencodedType, `{"a":"b&c=d"}`), ""},
	"a form of many parameters":      {postOf(urlencodedType, strings.Repeat("a=1&", 20_000)+"access_token=tok"), "tok"},
	"invalid UTF-8":                  {postOf(urlencodedType, "\xff\xfe=\x80&access_token=tok"), "tok"},
	"a query beside a form":          {rawRequest{"POST", "/_matrix/client/v3/x?access_token=tok", "a=b", []string{"Content-Type: " + urlencodedType}}, "tok"},
	"an empty form":                  {rawRequest{"POST", "/_matrix/client/v3/x?access_token=tok", "", []string{"Content-Type: " + urlencodedType}}, "tok"},
	"a form in a PUT":                {rawRequest{"PUT", "/_matrix/client/v3/x", "access_token=tok", []string{"Content-Type: " + urlencodedType}}, ""},
	"a form in a GET":                {rawRequest{"GET", "/_matrix/client/v3/x", "access_token=tok", []string{"Content-Type: " + urlencodedType}}, ""},
	"media":                          {postOf("image/png", "\x89PNG access_token=tok"), ""},
}

// doubtful are requests that two readers may understand in two ways.
var doubtful = map[string]rawRequest{
	"two headers":                  getOf("", "Authorization: Bearer tok", "Authorization: Bearer two"),
	"two headers, one of another":  getOf("", "Authorization: Basic abc", "authorization: Bearer tok"),
	"a header and a token":         getOf("?access_token=two", "Authorization: Bearer tok"),
	"a header that gets lost":      getOf("?access_token=tok", "Authorization: Basic abc", "Connection: authorization"),
	"a header and a form":          {"POST", "/_matrix/client/v3/x", "access_token=two", []string{"Content-Type: " + urlencodedType, "Authorization: Bearer tok"}},
	"only a header that gets lost": getOf("", "Authorization: Bearer tok", "Connection: close, Authorization"),
	"a form and a query":           {"POST", "/_matrix/client/v3/x?access_token=tok", "access_token=two", []string{"Content-Type: " + urlencodedType}},
	"a form that gets lost":        {"POST", "/_matrix/client/v3/x", "access_token=two", []string{"Content-Type: " + urlencodedType, "Connection: Content-Type"}},
	"lower case":                   getOf("", "Authorization: bearer tok"),
	"two blanks":                   getOf("", "Authorization: Bearer  tok"),
	"a tab":                        getOf("", "Authorization: Bearer\ttok"),
	"three words":                  getOf("", "Authorization: Bearer tok two"),
	"no token":                     getOf("", "Authorization: Bearer"),
	"two content types":            {"POST", "/_matrix/client/v3/x", "access_token=tok", []string{"Content-Type: application/json", "Content-Type: " + urlencodedType}},
	"a comment":                    postOf("application/(x)x-www-form-urlencoded", "access_token=tok"),
	"blanks in the type":           postOf("application / x-www-form-urlencoded", "access_token=tok"),
	"junk behind the type":         postOf(urlencodedType+" x", "access_token=tok"),
	"multipart":                    postOf("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"access_token\"\r\n\r\ntok\r\n--b--\r\n"),
	"multipart in capitals":        postOf("Multipart/Form-Data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"access_token\"\r\n\r\ntok\r\n--b--\r\n"),
	"multipart with a comment":     postOf("multipart/(x)form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"access_token\"\r\n\r\ntok\r\n--b--\r\n"),
	"a form that is too large":     postOf(urlencodedType, "access_token=tok&a="+strings.Repeat("x", bound.ForwardedForm)),
}

// TestRead: what is clear is read, and what is not is refused, with an error that ends no session.
func TestRead(t *testing.T) {
	for name, test := range ordinary {
		t.Run(name, func(t *testing.T) {
			v, ok := judged(t, test.request.bytes())
			if !ok || v.refused != "" || v.token != test.token {
				t.Errorf("got %q, refused %q (taken %v), want %q", v.token, v.refused, ok, test.token)
			}
		})
	}
	for name, q := range doubtful {
		t.Run(name, func(t *testing.T) {
			if v, ok := judged(t, q.bytes()); !ok || v.refused != model.InvalidParam && v.refused != model.TooLarge || v.token != "" {
				t.Errorf("got %q, refused %q (taken %v)", v.token, v.refused, ok)
			}
		})
	}
}

// synapse asks Synapse's own code.
type synapse struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

func askSynapse(t *testing.T) *synapse {
	t.Helper()
	python := os.Getenv("MATRIX_AUTH_SYNAPSE_PYTHON")
	if python == "" {
		t.Skip("MATRIX_AUTH_SYNAPSE_PYTHON names no interpreter with a Synapse; tests/run.sh sets it")
	}
	cmd := exec.Command(python, "testdata/synapse_reading.py")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return &synapse{t, in, bufio.NewScanner(out)}
}

// finding is what Synapse makes of a request.
type finding struct {
	Token         *string `json:"token"`
	None, Refused string
}

func (s *synapse) reads(raw []byte) (f finding) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, base64.StdEncoding.EncodeToString(raw)+"\n"); err != nil {
		s.t.Fatal(err)
	}
	if !s.out.Scan() {
		s.t.Fatalf("Synapse's code said nothing of %q: %v", raw, s.out.Err())
	}
	if err := json.Unmarshal(s.out.Bytes(), &f); err != nil {
		s.t.Fatal(err)
	}
	return f
}

// compare holds our reading of a request against Synapse's: never do we see another token than it does,
// nor none where it sees one. It reports whether both see the same token.
func (s *synapse) compare(q rawRequest) (v verdict, both bool) {
	s.t.Helper()
	raw := q.bytes()
	v, ok := judged(s.t, raw)
	if !ok {
		return v, false // Go's server refuses it
	}
	theirs := s.reads(v.sent)
	if v.refused != "" {
		return v, false
	}
	switch {
	case theirs.Token != nil && *theirs.Token != v.token:
		s.t.Errorf("Synapse reads %q, we read %q in\n%.300q", *theirs.Token, v.token, raw)
	case theirs.Token == nil && v.token != "" && isASCII(v.token) && theirs.Refused == "":
		s.t.Errorf("Synapse reads nothing (%s), we read %q in\n%.300q", theirs.None, v.token, raw)
	}
	return v, theirs.Token != nil && v.token != ""
}

// isASCII tells tokens that may be anybody's: Synapse fails at any other, with 500.
func isASCII(token string) bool {
	return strings.IndexFunc(token, func(c rune) bool { return c >= 0x80 }) < 0
}

// TestReadAsSynapse holds our reading of access tokens against Synapse's own code. It is run by
// tests/run.sh on every Synapse that is supported.
func TestReadAsSynapse(t *testing.T) {
	s := askSynapse(t)
	t.Run("ordinary requests", func(t *testing.T) {
		for name, test := range ordinary {
			s.t = t
			v, _ := s.compare(test.request)
			theirs := s.reads(v.sent)
			if theirs.Refused != "" || test.token != "" && (theirs.Token == nil || *theirs.Token != test.token) {
				t.Errorf("%s: Synapse reads %v, the table has %q", name, theirs, test.token)
			}
		}
	})
	t.Run("doubtful requests", func(t *testing.T) {
		for _, q := range doubtful {
			s.t = t
			s.compare(q)
		}
	})
	t.Run("generated requests", func(t *testing.T) {
		s.t = t
		const requests = 3000
		random, both, refused := rand.New(rand.NewSource(1)), 0, 0 // the same ones each time
		for range requests {
			v, same := s.compare(generate(random))
			if same {
				both++
			}
			if v.refused != "" {
				refused++
			}
		}
		t.Logf("of %d requests the same token was read in %d, %d were refused", requests, both, refused)
		if both < requests/10 || refused > requests*2/3 {
			t.Error("the requests say too little")
		}
	})
}

// generate makes a request that holds tokens in odd ways.
func generate(random *rand.Rand) rawRequest {
	pick := func(of ...string) string { return of[random.Intn(len(of))] }
	often := func(percent int) bool { return random.Intn(100) < percent }
	spell := func(text string) string { // escapes some of the letters
		var b strings.Builder
		for _, c := range []byte(text) {
			switch {
			case often(15):
				fmt.Fprintf(&b, pick("%%%02x", "%%%02X"), c)
			case often(1):
				b.WriteString(pick("%", "%2", "+", "%zz", "\xc3\xa9", "\xff"))
			default:
				b.WriteByte(c)
			}
		}
		return b.String()
	}
	form := func() string {
		var items []string
		for range random.Intn(5) {
			name := pick("a", "access_token", "access_token", "access_token", "Access_Token", "access token", "access_tokens", "")
			items = append(items, spell(name)+pick("=", "=", "=", "=", "", "==")+spell(pick("tok", "two", "", "a b", url.QueryEscape("ü"))))
		}
		return strings.Join(items, pick("&", "&", "&", ";", "&&", ";&"))
	}
	q := rawRequest{method: pick("GET", "POST", "POST", "POST", "PUT", "DELETE", "post", "HEAD"), target: "/_matrix/client/v3/x"}
	if often(50) {
		q.target += "?" + strings.ReplaceAll(form(), " ", "%20")
	}
	if often(30) {
		scheme := pick("Bearer", "Bearer", "Bearer", "Bearer", "bearer", "BEARER", "Basic", "Bearer:", "")
		q.headers = append(q.headers, pick("Authorization", "authorization", "AUTHORIZATION", "Authorisation")+":"+pick(" ", "", "\t", "  ")+scheme+pick(" ", " ", " ", " ", "  ", "\t", "")+pick("tok", "tok", "to k", "t\xffok", "")+pick("", "", "", " ", "\t"))
	}
	if often(5) {
		q.headers = append(q.headers, "Authorization: Bearer two")
	}
	if often(5) {
		q.headers = append(q.headers, "Connection: "+pick("Authorization", "close, authorization", "content-type"))
	}
	if often(60) {
		q.body = form()
		kind := pick(urlencodedType, urlencodedType, urlencodedType, strings.ToUpper(urlencodedType), "application/json", "text/plain", "multipart/form-data", "Multipart/Form-Data", "application/x-www-form-urlencodedx", " application/x-www-form-urlencoded", "application/ x-www-form-urlencoded", "x-www-form-urlencoded", "")
		kind += pick("", "", "", ";", "; charset=utf-8", ";charset=\"", "; boundary=b", " ;a*0=\"b\"", ";; =", "\t", " (comment)", " junk", ",", ";\xff=\xfe")
		q.headers = append(q.headers, "Content-Type: "+kind)
		if strings.Contains(strings.ToLower(kind), "multipart") {
			q.body = "--b\r\nContent-Disposition: form-data; name=" + pick("access_token", `"access_token"`, "\"access\\_token\"") + "\r\n\r\ntok\r\n--b--\r\n"
		}
	}
	return q
}
