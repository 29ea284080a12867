package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// populationCounter counts users and sessions for scrapes. A count reads all of their rows: nothing at most servers, and
// a second at one with a million sessions. So a count stands for a hundred times as long as it took, and
// scrapes take up at most a hundredth of one reader, however often they come and whatever there is to count.
type populationCounter struct {
	store *store.Store
	now   func() time.Time

	mu sync.Mutex
	// counting is closed when the count under way ends; nil if there is none.
	counting chan struct{}
	// latest is the last count that succeeded, if known is set, and due when it is too old.
	latest store.Population
	known  bool
	due    time.Time
	// failed is why the last count failed; nil if it did not.
	failed error
}

const (
	// countShare is how many times as long as it took a count stands.
	countShare = 100
	// countTimeout bounds a count.
	countTimeout = time.Minute
)

// take returns the newest count, and has another one made if it is too old. It waits for that until ctx ends,
// and returns the old one then; known is false if there is none yet. err is why the last one failed.
func (c *populationCounter) take(ctx context.Context) (p store.Population, known bool, err error) {
	c.mu.Lock()
	if c.counting == nil && !c.now().Before(c.due) {
		c.counting = make(chan struct{})
		go c.count(c.counting)
	}
	counting := c.counting
	c.mu.Unlock()
	if counting != nil {
		select {
		case <-counting:
		case <-ctx.Done():
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.latest, c.known, c.failed
}

// count outlives the scrape that asked for it: the next one finds it done.
func (c *populationCounter) count(done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	began := c.now()
	var p store.Population
	err := c.store.View(ctx, func(tx *store.Tx) (err error) {
		p, err = tx.Population()
		return err
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counting = nil
	close(done)
	ended := c.now()
	c.due = ended.Add(countShare * ended.Sub(began))
	if c.failed = err; err == nil {
		c.latest, c.known = p, true
	}
}
