package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestSoftLogout: the homeserver refuses a token, and says wrongly that the session is over.
func TestSoftLogout(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	live := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
	ended := h.Login("alice", house.Object{"device_id": "OLD", "refresh_token": true})
	h.Clock.Move(6 * time.Minute)
	h.Logout(h.SignedIn(h.Refresh(ended.RefreshToken)).AccessToken).Want(t, http.StatusOK, "")
	h.Answering(house.Refusing)
	paths := append([]string{"/_synapse/admin/v1/rooms", "/_synapse/client/rendezvous"}, house.APIPaths...)

	t.Run("SOFT-2 SOFT-3 SOFT-4 an expired token of a live session", func(t *testing.T) {
		for _, path := range paths {
			for _, c := range []house.Call{
				{Path: path, Bearer: live.AccessToken}, {Method: "PUT", Path: path, Bearer: live.AccessToken, Body: "{}"},
				{Path: path + "?access_token=" + live.AccessToken},
			} {
				h.Clock.Move(time.Minute) // nobody is in a hurry
				a := h.Do(c)
				if a.Status != http.StatusUnauthorized || a.Body != house.SoftRefusal || a.Header.Get("Content-Length") != fmt.Sprint(len(house.SoftRefusal)) {
					t.Errorf("%s: got %d %s %v", c.Path, a.Status, a.Body, a.Header)
				}
			}
		}
	})
	t.Run("SOFT-3 the token of a session that has ended", func(t *testing.T) {
		for _, path := range paths {
			h.Clock.Move(time.Minute)
			if a := h.Do(house.Call{Path: path, Bearer: ended.AccessToken}); a.Status != http.StatusUnauthorized || a.Body != house.HardRefusal {
				t.Errorf("%s: got %d %s", path, a.Status, a.Body)
			}
		}
	})
	t.Run("tokens of others", func(t *testing.T) {
		for _, token := range []string{"", "as_token_of_a_bridge", "syt_YWxpY2U_abc_123", model.NewToken(model.CompatAccess), live.RefreshToken} {
			if a := h.Do(house.Call{Path: house.APIPaths[0], Bearer: token}); a.Status != http.StatusUnauthorized || a.Body != house.HardRefusal {
				t.Errorf("%s: got %d %s", token, a.Status, a.Body)
			}
		}
	})
	t.Run("SOFT-5 the client refreshes, or signs in again on its device, and keeps it", func(t *testing.T) {
		h.WantActive(h.SignedIn(h.Refresh(live.RefreshToken)).AccessToken, "PHONE")
		h.WantActive(h.LoginOn("alice", "PHONE").AccessToken, "PHONE")
		h.WantDevices("alice", "PHONE")
		h.Clock.Move(time.Minute)
		if a := h.Do(house.Call{Path: house.APIPaths[0], Bearer: live.AccessToken}); a.Body != house.HardRefusal {
			t.Errorf("the token of the session that was replaced: got %s", a.Body)
		}
	})
	t.Run("SOFT-7 nobody can tell", func(t *testing.T) {
		token := h.Login("alice", house.Object{"device_id": "TABLET", "refresh_token": true}).AccessToken
		h.Clock.Move(6 * time.Minute)
		h.Answering(func(w http.ResponseWriter, r *http.Request) {
			h.Die() // while the homeserver answers
			house.Refusing(w, r)
		})
		a := h.Do(house.Call{Path: house.APIPaths[0], Bearer: token})
		h.Open()
		if a.Status != http.StatusServiceUnavailable || a.Errcode() != "M_UNKNOWN" || a.Header.Get("Retry-After") == "" {
			t.Errorf("got %d %s %v", a.Status, a.Body, a.Header)
		}
	})
	t.Run("SOFT-7 the database is being closed", func(t *testing.T) {
		token := h.Login("alice", house.Object{"device_id": "WATCH", "refresh_token": true}).AccessToken
		h.Clock.Move(6 * time.Minute)
		h.Answering(func(w http.ResponseWriter, r *http.Request) {
			h.Must(h.Core.Close())
			house.Refusing(w, r)
		})
		a := h.Do(house.Call{Path: house.APIPaths[0], Bearer: token})
		h.Open()
		if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
			t.Errorf("got %d %s %v", a.Status, a.Body, a.Header)
		}
	})
}

// TestRefusedThoughLive: the homeserver refuses a token that it should honour; its session lives, and
// somebody is told.
func TestRefusedThoughLive(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	var told []string
	h.Wiring.Gateway.Refused = func(token model.Token) { told = append(told, token.DeviceID) }
	s := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
	forever := h.LoginOn("alice", "BOT")
	h.Answering(house.Refusing)
	for _, token := range []string{s.AccessToken, forever.AccessToken} {
		if a := h.Do(house.Call{Path: house.APIPaths[0], Bearer: token}); a.Status != http.StatusUnauthorized || a.Body != house.SoftRefusal {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
	}
	h.Clock.Move(6 * time.Minute)
	h.Do(house.Call{Path: house.APIPaths[0], Bearer: s.AccessToken})
	h.Do(house.Call{Path: house.APIPaths[0], Bearer: model.NewToken(model.OAuthAccess)})
	if diff := cmp.Diff([]string{"PHONE", "BOT"}, told); diff != "" {
		t.Errorf("told of devices (-want +got):\n%s", diff)
	}
}

// passes are answers that nobody has a word with, though the token has expired.
var passes = map[string]http.HandlerFunc{
	"a success": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		writeAll(w, `{"next_batch":"s1"}`)
	},
	"a large success":  func(w http.ResponseWriter, _ *http.Request) { writeAll(w, strings.Repeat("0123456789abcdef", 1<<14)) },
	"an empty success": func(http.ResponseWriter, *http.Request) {},
	"no content":       status(http.StatusNoContent),
	"not modified":     status(http.StatusNotModified),
	"another errcode":  unauthorized("application/json", `{"errcode":"M_MISSING_TOKEN","error":"Missing access token"}`),
	"a step of authentication": unauthorized("application/json",
		`{"session":"x","flows":[{"stages":["m.login.password"]}],"params":{},"soft_logout":false}`),
	"a page":               unauthorized("text/html", house.HardRefusal),
	"no type":              unauthorized("", house.HardRefusal),
	"no object":            unauthorized("application/json", `["M_UNKNOWN_TOKEN"]`),
	"an errcode of no use": unauthorized("application/json", `{"errcode":1}`),
	"no JSON":              unauthorized("application/json", `M_UNKNOWN_TOKEN`),
	"not UTF-8":            unauthorized("application/json", "{\"errcode\":\"M_UNKNOWN_TOKEN\",\"error\":\"\xff\"}"),
	"an empty refusal":     unauthorized("application/json", ""),
	"too much":             unauthorized("application/json", house.HardRefusal+strings.Repeat(" ", 64<<10)),
	"too much in all": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		for range 80 {
			writeAll(w, strings.Repeat(" ", 1<<10))
		}
		writeAll(w, house.HardRefusal)
	},
	"announced trailers": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		house.Refusing(w, r)
		w.Header().Set("X-Sum", "1")
	},
	"trailers of a success": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		writeAll(w, "body")
		w.Header().Set("X-Sum", "1")
		w.Header().Set(http.TrailerPrefix+"X-More", "2")
	},
	"an early hint": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		writeAll(w, "body")
	},
	"two headers": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		w.WriteHeader(http.StatusOK)
		writeAll(w, `{}`)
	},
}

func writeAll(w io.Writer, text string) {
	if _, err := io.WriteString(w, text); err != nil {
		panic(err)
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func unauthorized(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{contentType}
		w.Header().Set("ETag", `"abc"`)
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.WriteHeader(http.StatusUnauthorized)
		writeAll(w, body)
	}
}

func coded(coding, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", coding)
		unauthorized("application/json", body)(w, nil)
	}
}

// seen is all that a client sees of an answer.
type seen struct {
	Status   int
	Header   http.Header
	Body     string
	Trailer  http.Header
	Length   int64
	Chunked  []string
	Informed []int
}

func look(t testing.TB, client *http.Client, method, address, token string) (s seen) {
	t.Helper()
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { s.Informed = append(s.Informed, code); return nil },
	})
	r, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept-Encoding", "identity")
	r.Host = house.IssuerHost
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	res.Header.Del("Date")
	s.Status, s.Header, s.Body, s.Trailer, s.Length, s.Chunked = res.StatusCode, res.Header, string(body), res.Trailer, res.ContentLength, res.TransferEncoding
	return s
}

// TestAnswersPassAsTheyCome compares what a client sees with what it would see without us, to the byte.
func TestAnswersPassAsTheyCome(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	token := h.Login("alice", house.Object{"refresh_token": true}).AccessToken
	h.Clock.Move(6 * time.Minute)
	for name, handler := range passes {
		t.Run(name, func(t *testing.T) {
			h.Answering(handler)
			bare := httptest.NewServer(handler)
			defer bare.Close()
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				want := look(t, bare.Client(), method, bare.URL+house.APIPaths[0], token)
				got := look(t, h.Client, method, h.Site.URL+house.APIPaths[0], token)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-without +with us):\n%s", method, diff)
				}
			}
		})
	}
	t.Run("HEAD of a refusal", func(t *testing.T) {
		h.Answering(house.Refusing)
		bare := httptest.NewServer(http.HandlerFunc(house.Refusing))
		defer bare.Close()
		if diff := cmp.Diff(look(t, bare.Client(), "HEAD", bare.URL+house.APIPaths[0], token), look(t, h.Client, "HEAD", h.Site.URL+house.APIPaths[0], token)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("trailers that nobody announced survive a change", func(t *testing.T) {
		h.Answering(func(w http.ResponseWriter, r *http.Request) {
			house.Refusing(w, r)
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
			w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
		})
		got := look(t, h.Client, "GET", h.Site.URL+house.APIPaths[0], token)
		if got.Body != house.SoftRefusal || got.Trailer.Get("X-Sum") != "1" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a hint before a refusal", func(t *testing.T) {
		h.Answering(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			house.Refusing(w, r)
		})
		got := look(t, h.Client, "GET", h.Site.URL+house.APIPaths[0], token)
		if got.Body != house.SoftRefusal || !cmp.Equal(got.Informed, []int{http.StatusEarlyHints}) {
			t.Errorf("got %+v", got)
		}
	})
}

// TestAnswersStream: what passes is not held back.
func TestAnswersStream(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	token := h.Login("alice", nil).AccessToken
	more := make(chan struct{})
	h.Answering(func(w http.ResponseWriter, _ *http.Request) {
		writeAll(w, "first\n")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		<-more
		writeAll(w, "second\n")
		w.(http.Flusher).Flush()
	})
	r, err := http.NewRequest(http.MethodGet, h.Site.URL+house.APIPaths[0]+"?access_token="+token, nil)
	h.Must(err)
	res, err := h.Client.Do(r)
	h.Must(err)
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	first, err := lines.ReadString('\n')
	h.Must(err)
	close(more)
	second, err := lines.ReadString('\n')
	if err != nil || first != "first\n" || second != "second\n" {
		t.Errorf("got %q, %q, %v", first, second, err)
	}
}

// TestAnswersHijack: a connection can be taken over, as reverse proxies do for upgrades.
func TestAnswersHijack(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	token := h.Login("alice", nil).AccessToken
	h.Answering(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "echo")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, both, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		line, err := both.ReadString('\n')
		if err != nil {
			t.Error(err)
		}
		writeAll(conn, line)
	})
	conn, err := net.Dial("tcp", h.Site.Listener.Addr().String())
	h.Must(err)
	defer conn.Close()
	h.Must(conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", house.APIPaths[0], house.IssuerHost, token)
	h.Must(err)
	reader := bufio.NewReader(conn)
	res, err := http.ReadResponse(reader, nil)
	h.Must(err)
	_, err = fmt.Fprintln(conn, "hello")
	h.Must(err)
	line, err := reader.ReadString('\n')
	if res.StatusCode != http.StatusSwitchingProtocols || line != "hello\n" || err != nil {
		t.Errorf("got %d, %q, %v", res.StatusCode, line, err)
	}
}

// sender notes that the writer below was given a file to send by itself.
type sender struct {
	*httptest.ResponseRecorder
	files int
}

func (s *sender) ReadFrom(r io.Reader) (int64, error) {
	if _, ok := r.(*os.File); ok {
		s.files++
	}
	return io.Copy(s.ResponseRecorder, struct{ io.Reader }{r})
}

// TestAnswersSendFiles: net/http hands a file over to the kernel.
func TestAnswersSendFiles(t *testing.T) {
	h := house.New(t)
	path := filepath.Join(t.TempDir(), "file")
	h.Must(os.WriteFile(path, []byte("content"), 0o600))
	for _, code := range []int{0, http.StatusOK} {
		w := &sender{ResponseRecorder: httptest.NewRecorder()}
		r := httptest.NewRequest(http.MethodGet, house.Issuer+"_matrix/media/v3/download/a/b", nil)
		r.Header.Set("Authorization", "Bearer some-token")
		h.Must(h.Current().ServeHTTP(w, r, handlerNext(func(w http.ResponseWriter, _ *http.Request) {
			if code != 0 {
				w.WriteHeader(code)
			}
			file, err := os.Open(path)
			h.Must(err)
			defer file.Close()
			_, err = w.(io.ReaderFrom).ReadFrom(file)
			h.Must(err)
		})))
		if w.files != 1 || w.Body.String() != "content" || w.Code != http.StatusOK {
			t.Errorf("%d files were sent, got %d %q", w.files, w.Code, w.Body)
		}
	}
}

type handlerNext func(http.ResponseWriter, *http.Request)

func (f handlerNext) ServeHTTP(w http.ResponseWriter, r *http.Request) error { f(w, r); return nil }

// TestAnswersAfterAPanic: a proxy gives up in the middle of a refusal. Nothing of it shows in another's answer.
func TestAnswersAfterAPanic(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	token := h.Login("alice", house.Object{"refresh_token": true}).AccessToken
	h.Clock.Move(6 * time.Minute)
	h.Answering(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		writeAll(w, `{"errcode":"M_UNKNOWN_TOKEN",`)
		panic(http.ErrAbortHandler)
	})
	r, err := http.NewRequest(http.MethodPost, h.Site.URL+house.APIPaths[0]+"?access_token="+token, strings.NewReader("{}"))
	h.Must(err)
	if res, err := h.Client.Do(r); err == nil {
		t.Errorf("got %s", res.Status)
		h.Must(res.Body.Close())
	}
	for range 20 {
		h.Answering(house.Refusing)
		if a := h.Do(house.Call{Path: house.APIPaths[0], Bearer: token}); a.Body != house.SoftRefusal {
			t.Fatalf("got %s", a.Body)
		}
	}
}

// TestAnswersAtOnce: many requests at once, some of which are changed, and none gets anything of another's.
func TestAnswersAtOnce(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	const clients, rounds = 8, 15 // a token is refused fewer times than its client may hear at once
	tokens := make([]string, clients)
	for i := range tokens {
		tokens[i] = h.Login("alice", house.Object{"device_id": fmt.Sprint("D", i), "refresh_token": true}).AccessToken
	}
	h.Clock.Move(6 * time.Minute)
	h.Answering(func(w http.ResponseWriter, r *http.Request) {
		mark := r.URL.Query().Get("mark")
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Query().Has("fine") {
			writeAll(w, mark)
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
		writeAll(w, `{"errcode":"M_UNKNOWN_TOKEN","error":"`)
		writeAll(w, mark+`"}`)
	})
	var group sync.WaitGroup
	for client, token := range tokens {
		group.Go(func() {
			for round := range rounds {
				mark := fmt.Sprintf("%d-%d-%s", client, round, strings.Repeat("x", 100*client))
				want := fmt.Sprintf(`{"errcode":"M_UNKNOWN_TOKEN","error":%q,"soft_logout":true}`, mark)
				if a := h.Do(house.Call{Path: house.APIPaths[0] + "?mark=" + mark, Bearer: token}); a.Body != want {
					t.Errorf("got %s, want %s", a.Body, want)
				}
				if a := h.Do(house.Call{Path: house.APIPaths[0] + "?fine&mark=" + mark, Bearer: token}); a.Body != mark {
					t.Errorf("got %s, want %s", a.Body, mark)
				}
			}
		})
	}
	group.Wait()
}
