package rig

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// ServerName is the name of every homeserver of the rig.
const ServerName = "example.test"

// Homeserver is Synapse with its logins delegated to Caddy in front of it.
type Homeserver struct {
	*Caddy
	Synapse *Synapse
	t       testing.TB
}

// StartHomeserver starts both.
func StartHomeserver(t testing.TB, version string, c CaddyConfig) *Homeserver {
	t.Helper()
	c.ServerName, c.Secret = ServerName, rand.Text()
	c.SitePort, c.InternalPort = FreePort(t), FreePort(t)
	s := NewSynapse(t, SynapseConfig{
		Version: version, ServerName: ServerName, Secret: c.Secret,
		Endpoint: fmt.Sprintf("http://127.0.0.1:%d/", c.InternalPort), PublicURL: fmt.Sprintf("http://127.0.0.1:%d", c.SitePort),
	})
	c.Synapse = s.URL
	h := Join(t, NewCaddy(t, c), s)
	s.Start()
	h.Caddy.Start()
	return h
}

// Join makes a homeserver of parts that a test has configured itself.
func Join(t testing.TB, c *Caddy, s *Synapse) *Homeserver {
	return &Homeserver{Caddy: c, Synapse: s, t: t}
}

// AddUser adds an account and gives its password.
func (h *Homeserver) AddUser(name string, flags ...string) (password string) {
	h.t.Helper()
	password = rand.Text()
	h.MustCommand(password+"\n", append([]string{"user", "add", name}, flags...)...)
	return password
}

// Answer is an HTTP answer of the client API.
type Answer struct {
	Status int
	Header http.Header
	Body   map[string]any
}

// Text returns a member that is a string, and the empty string if it is not there.
func (a Answer) Text(name string) string {
	text, _ := a.Body[name].(string)
	return text
}

// Call makes a request to the client API; the path is below /_matrix/client.
func Call(base, method, path, token string, body any) (Answer, error) {
	return CallBy(http.DefaultClient, base, method, path, token, body)
}

// CallBy is Call by a client.
func CallBy(client *http.Client, base, method, path, token string, body any) (Answer, error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return Answer{}, err
		}
		reader = bytes.NewReader(text)
	}
	request, err := http.NewRequest(method, base+"/_matrix/client"+path, reader)
	if err != nil {
		return Answer{}, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return answered(client, request)
}

// answered makes a request whose answer is a JSON object.
func answered(client *http.Client, request *http.Request) (Answer, error) {
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	answer := Answer{Status: response.StatusCode, Header: response.Header}
	if err := json.NewDecoder(response.Body).Decode(&answer.Body); err != nil {
		return answer, fmt.Errorf("%s %s: status %d: %w", request.Method, request.URL.Path, response.StatusCode, err)
	}
	return answer, nil
}

// Call makes a request through Caddy.
func (h *Homeserver) Call(method, path, token string, body any) Answer {
	h.t.Helper()
	answer, err := Call(h.URL, method, path, token, body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer
}

// Must fails the test unless an answer has the status.
func (a Answer) Must(t testing.TB, status int) Answer {
	t.Helper()
	if a.Status != status {
		t.Fatalf("status %d, want %d: %v", a.Status, status, a.Body)
	}
	return a
}

// Login is the body of a password login.
func Login(user, password string, more map[string]any) map[string]any {
	body := map[string]any{
		"type": "m.login.password", "password": password,
		"identifier": map[string]string{"type": "m.id.user", "user": user},
	}
	for name, value := range more {
		body[name] = value
	}
	return body
}

// Login logs in by password.
func (h *Homeserver) Login(user, password string, more map[string]any) Answer {
	h.t.Helper()
	return h.Call(http.MethodPost, "/v3/login", "", Login(user, password, more))
}

// Devices lists the ids of a user's devices as Synapse tells them.
func (h *Homeserver) Devices(token string) map[string]bool {
	h.t.Helper()
	answer := h.Call(http.MethodGet, "/v3/devices", token, nil).Must(h.t, http.StatusOK)
	ids := map[string]bool{}
	list, _ := answer.Body["devices"].([]any)
	for _, one := range list {
		if device, ok := one.(map[string]any); ok {
			id, _ := device["device_id"].(string)
			ids[id] = true
		}
	}
	return ids
}

// Provision makes a user at a Synapse as the authentication service does.
func Provision(synapse, secret, localpart string) (status int, err error) {
	return tellSynapse(synapse, secret, "provision_user", map[string]any{"localpart": localpart})
}

// Deactivate deactivates a user at a Synapse as the authentication service does.
func Deactivate(synapse, secret, localpart string) error {
	_, err := tellSynapse(synapse, secret, "delete_user", map[string]any{"localpart": localpart, "erase": false})
	return err
}

// UpsertDevice makes a device at a Synapse that the authentication service knows nothing of.
func UpsertDevice(synapse, secret, localpart, device string) error {
	_, err := tellSynapse(synapse, secret, "upsert_device", map[string]any{"localpart": localpart, "device_id": device})
	return err
}

// tellSynapse makes a call of the API for the authentication service.
func tellSynapse(synapse, secret, op string, params map[string]any) (status int, err error) {
	body, err := json.Marshal(params)
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequest(http.MethodPost, synapse+"/_synapse/mas/"+op, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	if err := response.Body.Close(); err != nil {
		return 0, err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return response.StatusCode, fmt.Errorf("%s: status %d", op, response.StatusCode)
	}
	return response.StatusCode, nil
}
