package tests

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestOutage stops Synapse at the worst moments.
func TestOutage(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			h := rig.StartHomeserver(t, version, rig.CaddyConfig{})
			alice := h.AddUser("alice")
			onPhone := map[string]any{"device_id": "PHONE", "initial_device_display_name": "phone"}
			first := h.Login("alice", alice, onPhone).Must(t, http.StatusOK).Text("access_token")
			other := h.Login("alice", alice, nil).Must(t, http.StatusOK).Text("access_token")
			doomed := h.Login("alice", alice, map[string]any{"device_id": "DOOMED"}).Must(t, http.StatusOK).Text("access_token")
			kept := h.Login("alice", alice, map[string]any{"device_id": "KEPT"}).Must(t, http.StatusOK).Text("access_token")
			h.Synapse.Stop()

			t.Run("a_login_gets_503_and_leaves_nothing_behind", func(t *testing.T) { // S4
				before := h.MustCommand("", "session", "list", "alice", "--json")
				answer := h.Login("alice", alice, map[string]any{"device_id": "NEW"}).Must(t, http.StatusServiceUnavailable)
				if answer.Header.Get("Retry-After") == "" || answer.Text("errcode") == "" {
					t.Errorf("the refusal is %v %v", answer.Header, answer.Body)
				}
				if after := h.MustCommand("", "session", "list", "alice", "--json"); after != before {
					t.Errorf("sessions before %s\nafter %s", before, after)
				}
			})
			t.Run("a_logout_succeeds", func(t *testing.T) { // S4, REV-11
				h.Call(http.MethodPost, "/v3/logout", first, nil).Must(t, http.StatusOK)
				h.Call(http.MethodPost, "/v3/logout", doomed, nil).Must(t, http.StatusOK)
			})
			t.Run("a_login_on_the_same_device_in_between_must_wait", func(t *testing.T) {
				h.Login("alice", alice, onPhone).Must(t, http.StatusServiceUnavailable)
			})
			t.Run("an_operator_retries_and_drops_what_waits", func(t *testing.T) {
				before := waitingJobs(t, h)
				h.Call(http.MethodPost, "/v3/logout", kept, nil).Must(t, http.StatusOK)
				var dropped job
				for position, j := range waitingJobs(t, h) {
					if _, known := before[position]; !known {
						dropped = j
					}
				}
				if dropped.Kind != "delete_device" || dropped.User != "alice" {
					t.Fatalf("the logout left the job %+v", dropped)
				}
				if said := h.MustCommand("", "outbox", "drop", fmt.Sprint(dropped.Position)); !strings.Contains(said, "is dropped") {
					t.Errorf("the command says %s", said)
				}
				after := waitingJobs(t, h)
				if _, there := after[dropped.Position]; there || len(after) != len(before) {
					t.Errorf("before %v, after %v", before, after)
				}
				// The first job of the lane is the one that is tried.
				first := after[slices.Min(slices.Collect(maps.Keys(after)))]
				h.MustCommand("", "outbox", "retry", fmt.Sprint(first.Position))
				rig.Await(t, "the job to be tried again", func() error {
					if tries := waitingJobs(t, h)[first.Position].Attempts; tries <= first.Attempts {
						return fmt.Errorf("%d tries", tries)
					}
					return nil
				})
			})
			h.Synapse.Start()
			t.Run("the_next_login_on_the_device_keeps_it", func(t *testing.T) {
				var again rig.Answer
				rig.Await(t, "login", func() error {
					again = h.Login("alice", alice, onPhone)
					if again.Status != http.StatusOK {
						return fmt.Errorf("status %d", again.Status)
					}
					return nil
				})
				token := again.Text("access_token")
				h.Call(http.MethodGet, "/v3/account/whoami", token, nil).Must(t, http.StatusOK)
				rig.Await(t, "the other device's deletion", func() error {
					if h.Devices(token)["DOOMED"] {
						return errors.New("it is still there")
					}
					return nil
				})
				devices := h.Devices(token)
				if !devices["PHONE"] || !devices["KEPT"] || devices["NEW"] {
					t.Fatalf("the devices are %v", devices)
				}
			})
			t.Run("a_token_from_before_still_works", func(t *testing.T) {
				h.Call(http.MethodGet, "/v3/account/whoami", other, nil).Must(t, http.StatusOK)
			})
		})
	}
}

// job is a job as "outbox list --json" tells it.
type job struct {
	Position   int64
	Kind, User string
	Attempts   int
}

// waitingJobs returns the jobs that wait, by their positions.
func waitingJobs(t *testing.T, h *rig.Homeserver) map[int64]job {
	t.Helper()
	var all []job
	if err := json.Unmarshal([]byte(h.MustCommand("", "outbox", "list", "--json")), &all); err != nil {
		t.Fatal(err)
	}
	waiting := map[int64]job{}
	for _, j := range all {
		waiting[j.Position] = j
	}
	return waiting
}

// TestBot has a bot without a refresh token live through restarts of both servers (S13).
func TestBot(t *testing.T) {
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{})
	password := h.AddUser("bot")
	login := h.Login("bot", password, nil).Must(t, http.StatusOK)
	if _, expires := login.Body["expires_in_ms"]; expires {
		t.Fatal("the bot's token expires")
	}
	issued := strings.TrimSpace(h.MustCommand("", "token", "issue", "bot", "--device-id", "ISSUED"))
	h.Caddy.Stop()
	h.Synapse.Stop()
	h.Synapse.Start()
	h.Caddy.Start()
	for _, token := range []string{login.Text("access_token"), issued} {
		h.Call(http.MethodGet, "/v3/account/whoami", token, nil).Must(t, http.StatusOK)
	}
}

// TestKilledDuringRefresh kills Caddy a hundred times between the commit of a refresh and its answer.
// The client, which never learns the answer, must not lose its session (REF-16, S3).
func TestKilledDuringRefresh(t *testing.T) {
	const deaths = 100
	fault := filepath.Join(t.TempDir(), "fault")
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{
		Tag: "faulthook", Env: []string{"MATRIX_AUTH_FAULT=refresh-after-commit", "MATRIX_AUTH_FAULT_FILE=" + fault},
	})
	password := h.AddUser("alice")
	login := h.Login("alice", password, map[string]any{"refresh_token": true}).Must(t, http.StatusOK)
	device, refresh := login.Text("device_id"), login.Text("refresh_token")
	for death := range deaths {
		if err := os.WriteFile(fault, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := rig.Call(h.URL, http.MethodPost, "/v3/refresh", "", map[string]string{"refresh_token": refresh}); err == nil {
			t.Fatal("the refresh was answered")
		}
		h.Caddy.Gone()
		h.Caddy.Start()
		answer := h.Call(http.MethodPost, "/v3/refresh", "", map[string]string{"refresh_token": refresh})
		if answer.Status != http.StatusOK {
			t.Fatalf("after death %d: %d %v", death+1, answer.Status, answer.Body)
		}
		refresh = answer.Text("refresh_token")
		if who := h.Call(http.MethodGet, "/v3/account/whoami", answer.Text("access_token"), nil).Must(t, http.StatusOK); who.Text("device_id") != device {
			t.Fatalf("after death %d the device is %q", death+1, who.Text("device_id"))
		}
	}
}

// TestReloadUnderLoad reloads the configuration in the middle of 200 requests at once, of which none
// may be lost. They come through a Unix socket: over TCP any reload of any Caddy has Linux reset the
// connections that it has not yet handed over, and that would be all that is measured. What is left of
// that is Go's: a server that shuts down hangs up on a new connection before it looks at the request. Who
// sends is free to send again then, and does; but nothing that Caddy began may end without an answer.
func TestReloadUnderLoad(t *testing.T) {
	const people, rounds = 200, 4
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{})
	password := h.AddUser("alice")
	token := h.Login("alice", password, nil).Must(t, http.StatusOK).Text("access_token")
	socket, begun := filepath.Join(h.Dir, "site.sock"), filepath.Join(h.Dir, "access.log")
	load := func(version int) {
		h.Write(h.Text("") + fmt.Sprintf("http://load.test {\n\tbind unix/%s\n\tlog {\n\t\toutput file %s {\n\t\t\troll_disabled\n\t\t}\n\t}\n\tmatrix_auth\n\theader X-Reload %d\n\treverse_proxy %s\n}\n",
			socket, begun, version, h.Synapse.URL))
		if err := h.Reload(); err != nil {
			t.Error(err)
		}
	}
	load(0)
	transport := &http.Transport{MaxIdleConnsPerHost: people, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	var group sync.WaitGroup
	connected, begin := make(chan error, people), make(chan struct{})
	failures, hungUp := make(chan error, people*rounds), make(chan string, people*rounds*maxTries)
	for person := range people {
		path := "/v3/login"
		if person%2 == 0 {
			path = "/v3/account/whoami"
		}
		group.Go(func() {
			get := func(round int) error {
				return getAgain(transport, fmt.Sprintf("http://load.test/_matrix/client%s?person=%d-%d", path, person, round), token, hungUp)
			}
			connected <- get(0)
			<-begin
			for round := range rounds {
				failures <- get(round + 1)
			}
		})
	}
	for range people {
		if err := <-connected; err != nil {
			t.Error(err)
		}
	}
	close(begin)
	for version := range 3 {
		load(version + 1)
	}
	group.Wait()
	close(failures)
	for err := range failures {
		if err != nil {
			t.Error(err)
		}
	}
	h.Caddy.Stop() // so that all of the log is written
	close(hungUp)
	log := read(t, begun)
	if !strings.Contains(log, "person=0-1-0") {
		t.Errorf("the log lacks the requests: %.500s", log)
	}
	for attempt := range hungUp {
		if strings.Contains(log, attempt+`"`) {
			t.Errorf("%s was begun and not answered", attempt)
		}
	}
}

// maxTries bounds how often one request is sent again.
const maxTries = 20

// getAgain sends a GET until somebody answers, and tells on which attempts the server hung up instead.
func getAgain(transport http.RoundTripper, url, token string, hungUp chan<- string) error {
	var err error
	for try := range maxTries {
		attempt := fmt.Sprintf("%s-%d", url, try)
		err = getOK(transport, attempt, token)
		if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			return err
		}
		hungUp <- strings.TrimPrefix(attempt, "http://load.test")
	}
	return err
}

func getOK(transport http.RoundTripper, url, token string) error {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return fmt.Errorf("an answer broke off: %s", err) //nolint:errorlint // not wrapped: this request was begun
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
	return nil
}
