package matrixauth

import (
	"sync"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/oauth"
)

// probes remembers the bogus tokens of doctors that the homeserver asked about.
type probes struct {
	mu   sync.Mutex
	seen []oauth.Probe
}

// maxProbes bounds what is remembered: a doctor looks at once.
const maxProbes = 32

func (p *probes) note(probe oauth.Probe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.seen) == maxProbes {
		p.seen = append(p.seen[:0], p.seen[1:]...)
	}
	p.seen = append(p.seen, probe)
}

func (p *probes) find(token string) (probe oauth.Probe, found bool) {
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
