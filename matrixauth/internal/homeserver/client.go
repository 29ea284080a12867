// Package homeserver is the client for the API by which Synapse lets its authentication service manage users and
// devices, `/_synapse/mas/*` (SYN-11 to SYN-13, SYN-24). Each call is tried once; its Error gives the reason of a
// failure. A caller whose call must survive an outage uses the outbox. The package never calls sync_devices, which
// deletes devices that a homeserver made itself (SYN-12).
package homeserver

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// Config says where a homeserver is and how to prove who we are.
type Config struct {
	// Endpoint is the base URL of the homeserver's client API, for example http://localhost:8008. A path
	// is kept in front of those of the API. Required.
	Endpoint *url.URL
	// Secret is the one of Synapse's matrix_authentication_service section. Required.
	Secret string
	// ServerName is the server_name that the homeserver must have, the part of Matrix ids behind the
	// colon. Required.
	ServerName string
	// HTTP makes the calls. Its timeout applies, its cookie jar and redirect policy do not. Nil means a client that
	// connects directly, whatever proxies the environment names.
	HTTP *http.Client
	// Timeout bounds one call; zero means 10 seconds.
	Timeout time.Duration
}

// Client calls the homeserver. It is safe for concurrent use and holds nothing that must be closed.
type Client struct {
	endpoint   *url.URL
	secret     string
	serverName string
	timeout    time.Duration
	http       *http.Client
}

// direct is shared by all clients without an HTTP client of their own, so that a reload of the
// configuration leaves no second set of idle connections.
var direct = func() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	// The secret must not pass through a proxy that is meant for the internet.
	t.Proxy = nil
	t.MaxIdleConnsPerHost = 16
	// Shorter than Synapse's own limit of a minute, so that Synapse seldom closes a connection that we are about to
	// use.
	t.IdleConnTimeout = 30 * time.Second
	return t
}()

// New makes a client. It does not speak to the homeserver yet.
func New(c Config) *Client {
	client := &http.Client{Transport: direct}
	if c.HTTP != nil {
		own := *c.HTTP
		client = &own
	}
	client.Jar = nil
	// A redirect would carry the secret to where the configuration did not say.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if c.Timeout == 0 {
		c.Timeout = bound.HomeserverCall
	}
	return &Client{endpoint: c.Endpoint, secret: c.Secret, serverName: c.ServerName, timeout: c.Timeout, http: client}
}

// Address returns the endpoint for people, without a password that may stand in it.
func (c *Client) Address() string { return c.endpoint.Redacted() }

// request is one call before it is made.
type request struct {
	// op names the call in errors; for the API of the authentication service it is its last path segment.
	op     string
	method string
	path   string
	query  url.Values
	body   any
	// open calls carry no secret: Synapse would take it for a user's token.
	open bool
	// token is an access token that takes the place of the secret, for the APIs of users and administrators.
	token string
	// limit bounds the answer in bytes; zero means bound.HomeserverAnswer.
	limit int
}

// answer is what came back, read in full.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func get(op string, query url.Values) request {
	return request{op: op, method: http.MethodGet, path: masPath + op, query: query}
}

func post(op string, body any) request {
	return request{op: op, method: http.MethodPost, path: masPath + op, body: body}
}

// call makes a call whose success is one of the given statuses. A 200 or 201 that is not a JSON object
// does not come from the API and counts as an outage.
func (c *Client) call(ctx context.Context, r request, success ...int) (answer, error) {
	a, err := c.send(ctx, r)
	if err != nil {
		return a, err
	}
	for _, status := range success {
		if a.status != status {
			continue
		}
		if status != http.StatusNoContent && !isObject(a) {
			return a, &Error{Reason: Down, Op: r.op, Status: a.status, Err: errors.New("the answer is not a JSON object")}
		}
		return a, nil
	}
	return a, c.refusal(r, a)
}

// send makes the HTTP exchange. Its error means that no answer came.
func (c *Client) send(ctx context.Context, r request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := c.newRequest(ctx, r)
	if err != nil {
		return answer{}, &Error{Reason: Rejected, Op: r.op, Err: err}
	}
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, &Error{Reason: Down, Op: r.op, Err: withoutURL(err)}
	}
	defer res.Body.Close()
	limit := cmp.Or(r.limit, bound.HomeserverAnswer)
	body, err := io.ReadAll(io.LimitReader(res.Body, int64(limit)+1))
	if err == nil && len(body) > limit {
		err = fmt.Errorf("the answer has more than %d bytes", limit)
	}
	if err != nil {
		return answer{}, &Error{Reason: Down, Op: r.op, Status: res.StatusCode, Err: err}
	}
	return answer{status: res.StatusCode, header: res.Header, body: body}, nil
}

func (c *Client) newRequest(ctx context.Context, r request) (*http.Request, error) {
	var body io.Reader
	if r.body != nil {
		data, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	address := c.endpoint.JoinPath(r.path)
	address.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, address.String(), body)
	if err != nil {
		return nil, withoutURL(err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "caddy-matrix-auth")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if !r.open {
		req.Header.Set("Authorization", "Bearer "+cmp.Or(r.token, c.secret))
	}
	// All calls are idempotent. The empty key tells the transport so and is not sent: a connection that
	// Synapse closed while it was idle is replaced without an error.
	req.Header["Idempotency-Key"] = nil
	return req, nil
}

// withoutURL drops the method and URL that package net/http puts in front of an error; the operation is
// named by Error already, and an endpoint may be written with a password in it.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// isObject reports whether an answer is a JSON object.
func isObject(a answer) bool {
	kind, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return false
	}
	var object map[string]json.RawMessage
	return json.Unmarshal(a.body, &object) == nil && object != nil
}

// checkID refuses an id that JSON cannot carry unchanged: Go would replace broken UTF-8, and the call
// would be about somebody else's user or device.
func checkID(op string, ids ...string) error {
	for _, id := range ids {
		if !utf8.ValidString(id) {
			return &Error{Reason: Rejected, Op: op, Err: fmt.Errorf("the id %q is not UTF-8", id)}
		}
	}
	return nil
}

// hide removes the secret from a text that came from elsewhere.
func (c *Client) hide(text string) string {
	if c.secret == "" {
		return text
	}
	return strings.ReplaceAll(text, c.secret, "[secret]")
}
