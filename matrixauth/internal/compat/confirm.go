package compat

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// authMember is the member of a body in which a client sends a proof.
const authMember = "auth"

// deed is something that the user of an app has to confirm.
type deed struct {
	by model.Token
	// endpoint is the name of the endpoint, with what its path names.
	endpoint string
	// body is all of it but the proof.
	body web.Object
	auth web.Object
}

// readDeed reads a request of a token for something that has to be confirmed.
func readDeed(w http.ResponseWriter, r *http.Request, by model.Token, endpoint web.Endpoint) (deed, error) {
	body, err := web.ReadOptionalObject(w, r)
	if err != nil {
		return deed{}, err
	}
	auth, err := body.Object(authMember)
	if err != nil {
		return deed{}, err
	}
	delete(body, authMember)
	what := endpoint.Name
	if endpoint.Variable != "" {
		what += "\x00" + r.PathValue(endpoint.Variable)
	}
	return deed{by: by, endpoint: what, body: body, auth: auth}, nil
}

// what names the deed, so that a proof for one counts for no other one: not for another endpoint, user or app, and not for
// another body (LEG-46).
func (d deed) what() (string, error) {
	body, err := json.Marshal(d.body) // which sorts the members
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(body)
	return strings.Join([]string{"confirm", d.endpoint, d.by.UserID, d.by.SessionID, hex.EncodeToString(sum[:])}, "\x00"), nil
}

// confirm has the user of an app prove who they are for one deed, by the one stage that there is, the password (C-S
// "User-Interactive Authentication API"). Its error is a web.Confirm until they have; RateLimited, UserLocked and others of
// signin.SignIns.ByPassword pass as they are. Nothing is kept between the requests: a session says itself what it is for and
// until when, and the proof comes with the request that it is for. So there is nothing to steal or to fill, and a restart
// between two requests loses nothing. A client that sends a proof at once needs no session, as with Synapse.
func (d *Door) confirm(r *http.Request, asked deed) (proof model.Proof, password string, err error) {
	what, err := asked.what()
	if err != nil {
		return proof, "", err
	}
	if len(asked.auth) == 0 {
		return proof, "", d.ask(what, model.NewError(model.ConfirmRequired))
	}
	try, err := d.parseProof(asked, what)
	if err != nil {
		return proof, "", d.ask(what, err)
	}
	try.IP, try.UserAgent, try.Devices, try.About = web.ClientIP(r), web.SourceOf(r).UserAgent, d.Devices.Values(r), web.SetSignIn(r.Context())
	found, err := d.SignIns.ByPassword(r.Context(), try)
	if err == nil && found.User.ID != asked.by.UserID {
		err = model.NewError(model.InvalidCredentials) // somebody else's password is no proof, and says nothing more
	}
	if errors.Is(err, model.InvalidCredentials) {
		return proof, "", d.ask(what, err)
	}
	return found.Proof, try.Password, err
}

// ask returns the error that asks for a proof of a deed, after one that did not count.
func (d *Door) ask(what string, cause error) error {
	session := web.Receipt(d.Secret, what, d.Sessions.Now().Add(bound.ConfirmLife))
	return &web.Confirm{Session: session, Stage: passwordLogin, Cause: model.AsError(cause)}
}

// parseProof reads a proof. Whose password it is goes without saying: some clients leave the user out.
func (d *Door) parseProof(asked deed, what string) (try signin.Attempt, err error) {
	session, err := asked.auth.String("session")
	if err != nil {
		return try, err
	}
	if session != "" {
		if until, ok := web.ReadReceipt(d.Secret, what, session); !ok || !d.Sessions.Now().Before(until) {
			return try, model.Errorf(model.InvalidParam, "the session is over, or of another request; confirm again")
		}
	}
	stage, err := asked.auth.String("type")
	if err != nil {
		return try, err
	}
	switch stage {
	case "": // a client that asks how far it is
		return try, model.NewError(model.ConfirmRequired)
	case passwordLogin:
	default:
		return try, model.NewError(model.UnknownLoginType)
	}
	if try.Password, err = required(asked.auth, "password"); err != nil {
		return try, err
	}
	try.Identifier = user.Identifier{Name: asked.by.Localpart}
	if asked.auth.Has("identifier") || asked.auth.Has("user") || asked.auth.Has("medium") {
		try.Identifier, err = parseIdentifier(asked.auth)
	}
	return try, err
}
