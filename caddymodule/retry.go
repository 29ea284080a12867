package caddymodule

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// What keeps us from starting must not keep the owner's other sites from it: a restart at night meets a port
// that is taken for a moment, an address that comes up later or a disk that is not mounted yet. So while
// nothing is served yet such a fault is tolerated: the sites are served, ours answers 503, and it is tried again.
// While sites are served already it is an error, after which the old configuration goes on.

// validatingCommands are the commands that only want to know whether a configuration is good.
var validatingCommands = map[string]bool{"validate": true, "adapt": true}

// validating reports whether this process only checks configurations. Caddy provisions modules in the same way
// whether it starts them or not, so the command is all that tells. Tests replace it.
var validating = func() bool { return len(os.Args) > 1 && validatingCommands[os.Args[1]] }

// tolerable reports whether the configuration that is loaded now may go without something: because nothing is
// served yet, or because the running one goes without the same thing, and a reload for another site's sake
// must not be refused for it.
func tolerable(subject string) bool {
	if validating() {
		return false
	}
	if _, err := caddy.ActiveContext().AppIfConfigured("http"); errors.Is(err, caddy.ErrNotConfigured) {
		return true
	}
	return tolerated.has(subject)
}

// toleratedFaults are what the apps of this process go without, by what it is about.
type toleratedFaults struct {
	mu   sync.Mutex
	apps map[*App]map[string]string
}

var tolerated toleratedFaults

// add notes that an app goes without something, and why.
func (t *toleratedFaults) add(a *App, subject, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set(a, subject, why)
}

// set is add for a caller that holds the lock.
func (t *toleratedFaults) set(a *App, subject, why string) {
	if t.apps == nil {
		t.apps = map[*App]map[string]string{}
	}
	if t.apps[a] == nil {
		t.apps[a] = map[string]string{}
	}
	t.apps[a][subject] = why
}

// swap replaces what an app went without before by what it goes without now; nil stands for nothing. It is one
// step, as a reload that looks in between must not be refused.
func (t *toleratedFaults) swap(a *App, before, now *obstacle) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if before != nil {
		for _, subject := range before.subjects {
			delete(t.apps[a], subject)
		}
	}
	if now != nil {
		for _, subject := range now.subjects {
			t.set(a, subject, now.Error())
		}
	}
}

// drop forgets an app.
func (t *toleratedFaults) drop(a *App) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.apps, a)
}

// text returns what an app goes without.
func (t *toleratedFaults) text(a *App) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(slices.Compact(slices.Sorted(maps.Values(t.apps[a]))), "; ")
}

// has reports whether any app goes without something.
func (t *toleratedFaults) has(subject string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, subjects := range t.apps {
		if _, ok := subjects[subject]; ok {
			return true
		}
	}
	return false
}

// pace is how something is tried on that failed.
type pace struct {
	// longest is the longest wait between two tries, and loggedEvery how many failures share a line in the log.
	longest     time.Duration
	loggedEvery int
}

// usualPace has a line every ten minutes.
var usualPace = pace{longest: lastPause, loggedEvery: 20}

const (
	// firstPause is the wait after the first failure; each further one waits twice as long.
	firstPause = 500 * time.Millisecond
	lastPause  = 30 * time.Second
)

// after is the clock of all that is tried again. Tests replace it.
var after = time.After

// backoff paces what is tried until it works.
type backoff struct {
	pace
	tries int
}

// wait waits for the time of the next try. It reports false if ctx ended before.
func (b *backoff) wait(ctx context.Context) bool {
	pause := min(firstPause<<min(b.tries, 6), b.longest)
	b.tries++
	select {
	case <-ctx.Done():
		return false
	case <-after(pause):
		return ctx.Err() == nil
	}
}

// logs reports whether the failure of this try is to be logged.
func (b *backoff) logs() bool { return b.tries%b.loggedEvery == 0 }
