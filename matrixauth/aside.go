package matrixauth

import (
	"errors"
	"net/http"
)

// noSynapse returns a client for a database aside, so that no call reaches Synapse by a way that nobody thought of.
func noSynapse() *http.Client { return &http.Client{Transport: refusingTransport{}} }

type refusingTransport struct{}

// RoundTrip refuses every call.
func (refusingTransport) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no call to Synapse is made for a database that is not the server's")
}
