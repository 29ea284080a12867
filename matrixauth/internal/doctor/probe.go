package doctor

import (
	"sync"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/oauth"
)

// Probes remembers the bogus tokens of doctors that the homeserver asked about.
type Probes struct {
	mu   sync.Mutex
	seen []oauth.Probe
}

// maxProbes bounds what is remembered: a doctor looks at once.
const maxProbes = 32

// Note remembers a token that somebody asked about.
func (p *Probes) Note(probe oauth.Probe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.seen) == maxProbes {
		p.seen = append(p.seen[:0], p.seen[1:]...)
	}
	p.seen = append(p.seen, probe)
}

// Find returns what is known of a token.
func (p *Probes) Find(token string) (probe oauth.Probe, found bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.seen {
		if one.Token == token {
			// A caller with the right secret outweighs an earlier one without.
			probe, found = one, true
			if one.SecretOK {
				return probe, true
			}
		}
	}
	return probe, found
}
