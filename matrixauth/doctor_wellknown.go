package matrixauth

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// lookAtWellKnown follows the way of a client that is given only the server name.
func (d *doctor) lookAtWellKnown(ctx context.Context) {
	const check = "well-known"
	const path = "/.well-known/matrix/client"
	where := "https://" + d.config.ServerName + path
	change := fmt.Sprintf(`serve there {"m.homeserver":{"base_url":%q}} with the header Access-Control-Allow-Origin: *`, strings.TrimSuffix(d.config.Issuer, "/"))
	answer, err := d.get(ctx, "https://"+d.config.ServerName, path, "")
	if err != nil {
		d.bad(check, "unreachable", "clients that are given only the server name do not find this homeserver: "+explain(err), where, change)
		return
	}
	home, _ := answer.body["m.homeserver"].(map[string]any)
	base, _ := home["base_url"].(string)
	if answer.status != http.StatusOK || base == "" {
		d.bad(check, "missing", fmt.Sprintf("the document is not there (status %d)", answer.status), where, change)
		return
	}
	if answer.header.Get("Access-Control-Allow-Origin") != "*" {
		d.bad(check, "cors-missing", "the document lacks the header that lets web clients read it", where, "Access-Control-Allow-Origin: *")
		return
	}
	login, err := d.get(ctx, strings.TrimSuffix(base, "/"), "/_matrix/client/v3/login", "")
	if err != nil || !d.isOurLogin(login) {
		d.bad(check, "base-url", fmt.Sprintf("it sends clients to %s, where we do not answer", base), where, change)
		return
	}
	d.good(check, "%s leads to us", where)
}
