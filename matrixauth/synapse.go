package matrixauth

import (
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/synapseconfig"
)

// Removal is a setting that must go from homeserver.yaml, with the reason.
type Removal struct{ Key, Why string }

// SettingsToRemove lists the settings that keep Synapse from starting once its logins are delegated (SYN-16).
func SettingsToRemove() []Removal {
	var all []Removal
	for _, r := range synapseconfig.KeysToRemove() {
		all = append(all, Removal(r))
	}
	return all
}

// CheckSynapseEndpoint returns an error if an address is none at which Synapse could reach us.
func CheckSynapseEndpoint(endpoint string) error { return synapseconfig.CheckEndpoint(endpoint) }
