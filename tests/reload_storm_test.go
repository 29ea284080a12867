package tests

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// reloadsOfStorm is how often the storm reloads, requestsOfStorm the bound on what each of its clients asks, and
// clientsOfStorm how many there are.
const (
	reloadsOfStorm  = 100
	requestsOfStorm = 5000
	clientsOfStorm  = 4
)

// TestReloadStorm has a real Caddy reload a hundred times while clients refresh, ask us and a real Synapse behind us, and
// while Synapse asks us: no request is answered by anything but 200. Caddy starts its apps in any order, so the sites of a
// new configuration often answer a moment before ours is started (LIFE-1).
func TestReloadStorm(t *testing.T) {
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{Options: "refresh_limit 100000 100000\n\t\tlogin_limit {\n\t\t\tnetwork 1000 1000\n\t\t\taccount 1000 1000\n\t\t}"})
	password := h.AddUser("alice")
	var answered, broken atomic.Int64
	var over atomic.Bool
	var wrong, reasons sync.Map
	var clients sync.WaitGroup
	for i := range clientsOfStorm {
		a := h.Login("alice", password, map[string]any{"refresh_token": true, "device_id": fmt.Sprintf("DEVICE%d", i)}).Must(t, http.StatusOK)
		c := stormy{h: h, access: a.Text("access_token"), refresh: a.Text("refresh_token")}
		clients.Go(func() {
			for range requestsOfStorm {
				if over.Load() {
					return
				}
				what, status, body, err := c.next()
				switch {
				case err != nil:
					broken.Add(1) // a connection to Caddy's old listener, which it closes: there was no answer
					reasons.Store(what, err)
				case status != http.StatusOK:
					wrong.Store(fmt.Sprintf("%s: %d %s", what, status, body), true)
				default:
					answered.Add(1)
				}
			}
		})
	}
	for range reloadsOfStorm {
		err := loadAgain(h.Caddy)
		// A reload replaces the admin endpoint too, and a connection to the one that goes is closed unread (LIFE-1).
		for tries := 1; errors.As(err, new(*url.Error)) && tries < 5; tries++ {
			broken.Add(1)
			reasons.Store("the reload", err)
			err = loadAgain(h.Caddy)
		}
		if err != nil {
			t.Error(err)
			break
		}
	}
	over.Store(true)
	clients.Wait()
	t.Logf("%d requests were answered 200 during %d reloads; %d connections broke", answered.Load(), reloadsOfStorm, broken.Load())
	reasons.Range(func(what, err any) bool { t.Logf("%s: such as %v", what, err); return true })
	wrong.Range(func(what, _ any) bool { t.Error(what); return true })
	// A test that asks nothing proves nothing.
	if n := answered.Load(); n < 2*reloadsOfStorm || broken.Load() > n {
		t.Errorf("%d requests were answered, and %d broke off", n, broken.Load())
	}
}

// stormy is a client in a storm of reloads.
type stormy struct {
	h               *rig.Homeserver
	access, refresh string
	asked           int
}

// next asks the next one of four things. Each request has a connection of its own: one that is kept belongs to a
// configuration that may be gone.
func (c *stormy) next() (what string, status int, body string, err error) {
	c.asked++
	var a map[string]any
	switch c.asked % 4 {
	case 0:
		what = "the refresh"
		status, body, err = c.ask(http.MethodPost, c.h.URL+"/_matrix/client/v3/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, c.refresh), &a)
		if access, ok := a["access_token"].(string); ok {
			c.access, c.refresh = access, a["refresh_token"].(string)
		}
	case 1:
		what = "the ways to sign in"
		status, body, err = c.ask(http.MethodGet, c.h.URL+"/_matrix/client/v3/login", "", "", &a)
	case 2:
		what = "whoami of Synapse"
		status, body, err = c.ask(http.MethodGet, c.h.URL+"/_matrix/client/v3/account/whoami", c.access, "", &a)
	case 3:
		what = "the health"
		status, body, err = c.ask(http.MethodGet, c.h.Internal+"health", "", "", &a)
	}
	return what, status, body, err
}

func (c *stormy) ask(method, address, token, body string, into *map[string]any) (status int, text string, err error) {
	request, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Close = true
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, "", err
	}
	if response.StatusCode == http.StatusOK {
		err = json.Unmarshal(content, into)
	}
	return response.StatusCode, string(content), err
}

// loadAgain has a Caddy load its Caddyfile, by its admin endpoint.
func loadAgain(c *rig.Caddy) error {
	text, err := os.ReadFile(c.File())
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(c.Dir, "admin.sock"))
	}}
	request, err := http.NewRequest(http.MethodPost, "http://127.0.0.1/load", bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "text/caddyfile")
	request.Header.Set("Cache-Control", "must-revalidate") // although nothing has changed
	response, err := (&http.Client{Transport: transport, Timeout: rig.Deadline}).Do(request)
	if err != nil {
		return fmt.Errorf("a reload: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		answer, err := io.ReadAll(response.Body)
		return fmt.Errorf("a reload: %d %s %v", response.StatusCode, answer, err)
	}
	return nil
}
