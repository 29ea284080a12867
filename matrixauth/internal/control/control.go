// Package control is the Unix socket by which commands reach a running server, at both ends: where it lies, who
// is at its other end, and how an operation, its result and its refusal travel. It finds operations by their
// names and must not know what they do.
//
// The socket's permissions are its whole access control: who can open the database can do all that the socket
// can. The other way round, passwords go to whoever answers, so a command looks at who that is (see Target).
package control

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// maxMessage bounds the parameters of an operation and its result, in bytes.
const maxMessage = 64 << 20

// copyPath is where a copy of the database is read, whose answer is not JSON. The command writes it down, so that
// a backup belongs to who made it and the server writes nowhere but beside its database.
const copyPath = "copy"

// Operations are what a server does for commands.
type Operations interface {
	// Perform performs an operation by its name. Parameters and result are JSON.
	Perform(ctx context.Context, by model.Actor, name string, params []byte) ([]byte, error)
	// Copy makes a consistent copy of the database and writes it to what begin returns. begin is called once, with
	// the size in bytes, after the copy was made.
	Copy(ctx context.Context, by model.Actor, begin func(size int64) io.Writer) error
}

// refusal is an error on its way through the socket.
type refusal struct {
	Code model.Code `json:"code"`
	Text string     `json:"text"`
}

func writeRefusal(w http.ResponseWriter, err error) {
	e := model.AsError(err)
	body, err := json.Marshal(refusal{e.Code, e.Text})
	if err != nil {
		panic(err) // two plain fields always marshal
	}
	w.WriteHeader(http.StatusUnprocessableEntity)
	_, _ = w.Write(body) // the command has gone if this fails
}

// readRefusal reads what writeRefusal wrote.
func readRefusal(body []byte) (*model.Error, error) {
	var r refusal
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, err
	}
	return model.Errorf(r.Code, "%s", r.Text), nil
}
