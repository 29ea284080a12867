package store

import (
	"errors"
	"sync"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Trouble is what the machine keeps the database from.
type Trouble struct {
	// Since is when it was noticed first.
	Since time.Time
	// What says what is wrong, in a few words.
	What string
	// Err is what the system said last.
	Err error
}

// troubles are those that a store has met. A disk that is full or fails shows at writes, and is over with the next one
// that is durable; a damaged page shows to who needs it, and stays.
type troubles struct {
	mu              sync.Mutex
	writing, damage *Trouble
}

// troubleRetry is what clients are told to wait while the database cannot be used: somebody has to make room first.
const troubleRetry = 10 * time.Second

// met notes what the machine kept a read or a write from, and returns the error by which everybody is told to wait: it
// says nothing about whoever asked, so it must never be one upon which a client signs out. Any other error is returned
// as it is.
func (s *Store) met(err error, writing bool) error {
	what, damaged := troubleOf(err)
	if what == "" {
		return err
	}
	s.troubles.mu.Lock()
	defer s.troubles.mu.Unlock()
	if damaged {
		s.troubles.damage = s.lasting(s.troubles.damage, what, err)
	}
	if writing && !damaged {
		s.troubles.writing = s.lasting(s.troubles.writing, what, err)
	}
	return model.NewError(model.DatabaseDown).WithRetry(troubleRetry).WithCause(err)
}

// foundDamage notes that the file is damaged.
func (s *Store) foundDamage(how string) {
	s.troubles.mu.Lock()
	defer s.troubles.mu.Unlock()
	s.troubles.damage = s.lasting(s.troubles.damage, "the file is damaged", errors.New(how))
}

// lasting returns the trouble before with what is known now.
func (s *Store) lasting(before *Trouble, what string, err error) *Trouble {
	now := &Trouble{Since: s.Now(), What: what, Err: err}
	if before != nil {
		now.Since = before.Since
	}
	return now
}

// wrote notes that something is durable.
func (s *Store) wrote() {
	s.troubles.mu.Lock()
	defer s.troubles.mu.Unlock()
	s.troubles.writing = nil
}

// CannotWrite returns what keeps the database from being written; nil if the last write went well, or none was tried yet.
func (s *Store) CannotWrite() *Trouble {
	s.troubles.mu.Lock()
	defer s.troubles.mu.Unlock()
	return s.troubles.writing
}

// Damaged returns how the file was found to be damaged; nil if it was not. Damage does not go away while it is open.
func (s *Store) Damaged() *Trouble {
	s.troubles.mu.Lock()
	defer s.troubles.mu.Unlock()
	return s.troubles.damage
}
