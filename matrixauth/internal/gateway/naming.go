package gateway

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// naming is a request by which a client names a device of its user (C-S "PUT /devices/{deviceId}"). The
// homeserver keeps the name, and we show it in the list of sessions.
type naming struct {
	io.ReadCloser
	deviceID string
	// body is a copy of what the homeserver has read, as far as bound.NamingBody.
	body []byte
}

// devicesPath is what the path of the request begins with behind the version, and devicesPaths are where Synapse
// takes it.
const devicesPath = "/devices/"

var devicesPaths = []string{web.ClientAPIPath + "v3" + devicesPath, web.ClientAPIPath + "r0" + devicesPath, web.ClientAPIPath + "unstable" + devicesPath}

// watchNaming puts itself between a request that names a device and its body; nil for any other request.
func watchNaming(r *http.Request) *naming {
	// Most requests with this method send a message, and cost nothing.
	if r.Method != http.MethodPut || r.Body == nil || !strings.Contains(r.URL.Path, devicesPath) {
		return nil
	}
	escaped := r.URL.EscapedPath()
	for _, path := range devicesPaths {
		// As the homeserver reads it: the path is parted before it is decoded.
		raw, ok := strings.CutPrefix(escaped, path)
		if !ok || strings.Contains(raw, "/") {
			continue
		}
		id, err := url.PathUnescape(raw)
		if err != nil || id == "" {
			return nil
		}
		n := &naming{ReadCloser: r.Body, deviceID: id}
		r.Body = n
		return n
	}
	return nil
}

// Read copies what is read.
func (n *naming) Read(p []byte) (int, error) {
	read, err := n.ReadCloser.Read(p)
	if room := bound.NamingBody + 1 - len(n.body); room > 0 {
		n.body = append(n.body, p[:min(read, room)]...)
	}
	return read, err
}

// name returns the name in the body; false if there is none, which leaves the device's name as it is.
func (n *naming) name() (string, bool) {
	if len(n.body) > bound.NamingBody {
		return "", false
	}
	document, err := web.ParseObject(n.body)
	if err != nil || !document.Has("display_name") {
		return "", false
	}
	name, err := document.String("display_name")
	return name, err == nil
}

// namingTime bounds the wait for the store.
const namingTime = 5 * time.Second

// named follows a request by which the homeserver has named a device: its success proves that the token
// may do so. The answer is with the client whatever happens here, so that a failure is only logged.
func (g *Gateway) named(p passage, n *naming) {
	name, ok := n.name()
	if !ok {
		return
	}
	value, ok := web.BearerOf(p.authorization, p.query)
	if !ok {
		return
	}
	if err := g.nameDevice(p, value, n.deviceID, name); err != nil {
		g.Logger.Warn("the new name of a device could not be kept", "error", err)
	}
}

func (g *Gateway) nameDevice(p passage, value, deviceID, name string) error {
	leave, err := g.Enter()
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.request.Context()), namingTime)
	defer cancel()
	return g.Sessions.NameDevice(ctx, value, deviceID, name)
}
