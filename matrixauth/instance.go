package matrixauth

import (
	"context"
	"path/filepath"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Placement is what a server knows of where it stands, and commands need: they may run as another user, with
// other directories and another environment.
type Placement struct {
	// SynapseEndpoint is where Synapse reaches us.
	SynapseEndpoint string
	// SecretFile is the file that holds the secret shared with Synapse; empty if it stands in none.
	SecretFile string
	// SecretGenerated reports whether the secret is our own, in the file beside the database.
	SecretGenerated bool
}

// Instance tells which server answers, and where it stands.
type Instance struct {
	ServerName      string `json:"server_name"`
	Issuer          string `json:"issuer"`
	Homeserver      string `json:"homeserver"` // where Synapse's client API is reached
	Database        string `json:"database"`
	SynapseEndpoint string `json:"synapse_endpoint"`
	SecretFile      string `json:"secret_file"`
	SecretGenerated bool   `json:"secret_generated"`
}

func (s *Server) tellInstance(context.Context, model.Actor, struct{}) (Instance, error) {
	p := s.deps.Placement
	return Instance{
		ServerName: s.config.ServerName, Issuer: s.config.Issuer, Homeserver: s.config.Endpoint, Database: s.core.Database(),
		SynapseEndpoint: p.SynapseEndpoint, SecretFile: p.SecretFile, SecretGenerated: p.SecretGenerated,
	}, nil
}

// SharedSecret is the secret shared with Synapse. It is told through the socket alone, to who could read it
// from the server's own files.
type SharedSecret struct {
	Secret string `json:"secret"`
}

func (s *Server) tellSecret(context.Context, model.Actor, struct{}) (SharedSecret, error) {
	return SharedSecret{s.config.Secret}, nil
}

func (s *Server) takeSecret(_ context.Context, _ model.Actor, p SharedSecret) (struct{}, error) {
	if !s.deps.Placement.SecretGenerated {
		return struct{}{}, model.Errorf(model.InvalidParam, "the running server's secret is configured, and not its own; change it in the configuration")
	}
	path := SecretFile(s.core.Database())
	if _, err := ParseSecret(filepath.Base(path), []byte(p.Secret)); err != nil {
		return struct{}{}, model.Errorf(model.InvalidParam, "%s", err.Error())
	}
	return struct{}{}, ReplaceSecret(path, p.Secret)
}
