package fake

import (
	"net/http"
	"path"
	"slices"
)

// Fail answers every request from now on with a status and a page that is not of Matrix, as a proxy does
// whose homeserver is away. With an errcode it is a Matrix error, for example 429 M_LIMIT_EXCEEDED.
func (s *Synapse) Fail(status int, errcode string) {
	s.setOutage(func(w http.ResponseWriter, r *http.Request) {
		if errcode == "" {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			_, _ = w.Write([]byte("<html>" + http.StatusText(status) + "</html>"))
			return
		}
		s.write(w, r, matrixError(status, errcode, http.StatusText(status)))
	})
}

// Abort closes the connection of every request from now on without an answer.
func (s *Synapse) Abort() {
	s.setOutage(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
}

// Intercept has every request from now on answered by a handler.
func (s *Synapse) Intercept(h http.HandlerFunc) { s.setOutage(h) }

// Recover ends what Fail, Abort and Intercept began.
func (s *Synapse) Recover() { s.setOutage(nil) }

func (s *Synapse) setOutage(h func(http.ResponseWriter, *http.Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outage = h
}

// LoseAnswers does the next n calls and closes their connections before the answer.
func (s *Synapse) LoseAnswers(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = n
}

// Gate holds calls back.
type Gate struct {
	// Arrived gives one value, the operation, for every call that begins to wait.
	Arrived <-chan string
	arrived chan string
	ops     []string
	open    chan struct{}
	synapse *Synapse
}

// gateDepth is how many calls may wait at a gate before its owner has read of the first.
const gateDepth = 4096

// Hold lets every call of the given operations, or every call, wait before anything is done for it, until
// Release or until the caller gives up. There is one gate at a time; the one before is released.
func (s *Synapse) Hold(ops ...string) *Gate {
	g := &Gate{arrived: make(chan string, gateDepth), ops: ops, open: make(chan struct{}), synapse: s}
	g.Arrived = g.arrived
	s.mu.Lock()
	old := s.gate
	s.gate = g
	s.mu.Unlock()
	if old != nil {
		close(old.open)
	}
	return g
}

// Release lets the waiting calls and all later ones pass. Doing it again changes nothing.
func (g *Gate) Release() {
	g.synapse.mu.Lock()
	defer g.synapse.mu.Unlock()
	if g.synapse.gate != g {
		return
	}
	g.synapse.gate = nil
	close(g.open)
}

// pass brings a request past gate and outage; false means that it needs no answer any more.
func (s *Synapse) pass(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	op := path.Base(r.URL.Path)
	if gate != nil && (len(gate.ops) == 0 || slices.Contains(gate.ops, op)) {
		gate.arrived <- op
		select {
		case <-gate.open:
		case <-r.Context().Done():
			return false
		}
	}
	s.mu.Lock()
	outage := s.outage
	s.mu.Unlock()
	if outage != nil {
		outage(w, r)
		return false
	}
	return true
}
