package matrixauth

import (
	"errors"
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// needSynapse are the actions that ask Synapse or change something there before they are done. Others leave
// what Synapse is to know to the outbox.
var needSynapse = map[string]bool{
	CheckNewUser.name: true, AddUser.name: true, IssueToken.name: true, AllowReset.name: true,
	Examine.name: true, CompareAccounts.name: true, MendDifference.name: true,
}

// errAside says that a database is not the one that Synapse belongs to.
var errAside = model.Errorf(model.InvalidParam, "this is not the database of the server but another file, such as a backup: what needs Synapse is not done on it; leave --database out, or put the file in the place of the database first")

// mayPerform refuses what needs Synapse on a database that is another one than the server's: what it would
// do there would be true for neither.
func (c *Core) mayPerform(action string) error {
	if c.aside && needSynapse[action] {
		return errAside
	}
	return nil
}

// noSynapse is a client for a database aside, so that no call reaches Synapse by a way that nobody thought of.
func noSynapse() *http.Client { return &http.Client{Transport: refusingTransport{}} }

type refusingTransport struct{}

// RoundTrip refuses every call.
func (refusingTransport) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no call to Synapse is made for a database that is not the server's")
}
