package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/oauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Version asks Synapse for its version, which it returns, and reports whether Synapse answered.
func (d *Visit) Version(ctx context.Context) (version string, up bool) {
	const check = "synapse version"
	found, err := d.Homeserver.Version(ctx)
	var e *homeserver.Error
	switch {
	case err == nil && found.Less(homeserver.SafeVersion):
		d.bad(check, "unsafe", fmt.Sprintf("Synapse %s answers, and has security holes that %s closed", found, homeserver.SafeVersion), d.Endpoint, "upgrade Synapse")
		return found.String(), true
	case err == nil:
		d.good(check, "Synapse %s answers at %s", found, d.Endpoint)
		return found.String(), true
	case errors.As(err, &e) && e.Reason == homeserver.TooOld:
		d.bad(check, "too-old", fmt.Sprintf("Synapse %s is too old; %s is the first that can delegate logins to us", found, homeserver.MinVersion), d.Endpoint, "upgrade Synapse")
		return found.String(), true
	}
	d.bad(check, "down", "Synapse does not answer: "+err.Error(), "endpoint "+d.Endpoint+" in the Caddyfile", "start Synapse, or write the address of its client listener: endpoint http://localhost:8008")
	return "", false
}

// OurCall proves our secret to Synapse, and compares the server name if there is an account to
// ask about.
func (d *Visit) OurCall(ctx context.Context) {
	const check = "our call to synapse"
	localpart := ""
	err := d.Store.View(ctx, func(tx *store.Tx) error {
		users, err := tx.Users("", 1)
		if err == nil && len(users) > 0 {
			localpart = users[0].Localpart
		}
		return err
	})
	if err != nil {
		d.bad(check, "accounts-unreadable", "the accounts cannot be read: "+err.Error(), d.Store.Path(), "restore a backup, or look at the disk")
		return
	}
	asked := localpart
	if asked == "" {
		asked = "nobody"
	}
	_, err = d.Homeserver.QueryUser(ctx, asked)
	var e *homeserver.Error
	if err == nil {
		d.good(check, "Synapse knows our secret, and its server_name is %s", d.ServerName)
		return
	}
	if !errors.As(err, &e) {
		d.bad(check, "failed", err.Error(), d.Endpoint, "see the server's log")
		return
	}
	switch e.Reason {
	case homeserver.UnknownUser:
		d.good(check, "Synapse knows our secret; the server name can be compared once it has an account of ours")
	case homeserver.RefusedSecret:
		d.bad(check, "other-secret", "Synapse has another secret than we", "matrix_authentication_service in homeserver.yaml", "write there the secret that \"caddy matrix-auth synapse-config\" prints, and restart Synapse")
	case homeserver.TooOld:
		d.bad(check, "not-delegated", "Synapse does not serve "+homeserver.MASPath+": its logins are not delegated", "homeserver.yaml", "add the block that \"caddy matrix-auth synapse-config\" prints, and restart Synapse")
	case homeserver.OtherServerName:
		d.bad(check, "other-server-name", "Synapse has another server_name: "+err.Error(), "matrix_auth "+d.ServerName+" in the Caddyfile", "write the server_name of homeserver.yaml")
	default:
		d.bad(check, "refused", err.Error(), d.Endpoint, "see the logs of Synapse")
	}
}

// TheirCall sends a bogus token through Synapse and sees whether Synapse asks us about it, and
// with which secret.
func (d *Visit) TheirCall(ctx context.Context) {
	const check = "synapse's call to us"
	const block = "matrix_authentication_service in homeserver.yaml"
	endpoint := fmt.Sprintf("endpoint: %q", d.SynapseEndpoint)
	token := oauth.ProbePrefix + rand.Text()
	answer, err := d.get(ctx, d.Endpoint, homeserver.WhoamiPath, token)
	if err != nil {
		d.bad(check, "down", "Synapse's client API does not answer: "+err.Error(), "endpoint "+d.Endpoint+" in the Caddyfile", "write the address of Synapse's client listener")
		return
	}
	d.clock(answer)
	probe, asked := d.Probes.Find(token)
	switch {
	case asked && probe.SecretOK:
		d.good(check, "Synapse asks us about tokens, with our secret")
	case asked:
		d.bad(check, "other-secret", "Synapse asks us with another secret", block, "write there the secret that \"caddy matrix-auth synapse-config\" prints, and restart Synapse")
	case answer.status == http.StatusServiceUnavailable:
		d.bad(check, "other-endpoint", "Synapse wants to ask somebody about tokens and gets no proper answer; it did not reach us", block, endpoint)
	case answer.status == http.StatusUnauthorized:
		d.bad(check, "not-asked", "Synapse judges tokens without asking us: its logins are not delegated, or to somebody else", block, "enabled: true, "+endpoint)
	default:
		d.bad(check, "unexpected", fmt.Sprintf("Synapse answers with status %d and does not ask us", answer.status), d.Endpoint, endpoint)
	}
}
