package matrixauth

import (
	"context"
	"net/url"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/doctor"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// What commands need of the doctor: see package doctor.
type (
	// Examination is what the doctor needs to know beyond the configuration.
	Examination = doctor.Examination
	// Diagnosis is what the doctor found.
	Diagnosis = doctor.Diagnosis
	// Finding is the result of one check. None of its texts holds a secret.
	Finding = doctor.Finding
	// Site is a site of the embedding server.
	Site = doctor.Site
	// SampleRequest is a request of a client that must reach us.
	SampleRequest = doctor.SampleRequest
	// GuardedRequest is a request that must not reach Synapse past us.
	GuardedRequest = doctor.GuardedRequest
	// SynapseUser is the user that Synapse runs as on this machine.
	SynapseUser = doctor.SynapseUser
	// SynapseExamination is what Synapse's configuration is compared with.
	SynapseExamination = doctor.SynapseExamination
	// Delegation is what Synapse must know to delegate its logins to us.
	Delegation = doctor.Delegation
	// Obstacle is something in Synapse's configuration that does not go with the block that is to be put there.
	Obstacle = doctor.Obstacle
)

// ComparisonCheck names the comparison among the checks of the doctor.
const ComparisonCheck = doctor.ComparisonCheck

// Well returns the finding of a check that found nothing wrong.
func Well(check, format string, args ...any) Finding { return doctor.Well(check, format, args...) }

// Wrong returns the finding of a check that found a fault, which is named by a word for programs.
func Wrong(check, fault, what, where, change string) Finding {
	return doctor.Wrong(check, fault, what, where, change)
}

// DifferenceFinding returns the finding for a difference.
func DifferenceFinding(d Difference) Finding { return doctor.DifferenceFinding(d) }

// SampleRequests returns requests to the issuer's host of each kind that clients, their browsers and Synapse send.
func SampleRequests(issuer string) []SampleRequest { return doctor.SampleRequests(issuer) }

// OpenPaths returns the paths at the issuer's host that must be open to clients, as Caddy's matcher path has them.
func OpenPaths(issuer *url.URL) []string { return doctor.OpenPaths(issuer) }

// GuardedRequests lists a request of each kind that must not reach Synapse past us.
func GuardedRequests() []GuardedRequest { return doctor.GuardedRequests() }

// ExaminePlace looks at whose the files of a database are and who else may read or write them, without
// opening any of them. It is for a database without a server, which is found to be nothing if it is not
// there; a running server looks itself.
func ExaminePlace(database string) []Finding {
	return doctor.ExamineFiles(database, SecretFile(database))
}

// ExamineSecretFile looks whether Synapse's user may read the file of the secret.
func ExamineSecretFile(path string, who SynapseUser) []Finding {
	return doctor.ExamineSecretFile(path, who)
}

// ExamineSynapse looks at Synapse's configuration. What only Synapse's own machine or container can tell is
// not called wrong.
func ExamineSynapse(e SynapseExamination) []Finding { return doctor.ExamineSynapse(e) }

// FindObstacles lists what is in the way of our block in what Synapse reads when it is started with these paths.
func FindObstacles(paths []string, serverName string) ([]Obstacle, error) {
	return doctor.FindObstacles(paths, serverName)
}

// doctor returns what the doctor looks at.
func (s *Server) doctor() doctor.Config {
	return doctor.Config{
		Store: s.core.store, Outbox: s.core.outbox, Seal: s.seal, Keys: s.keys, Backups: s.backups, Homeserver: s.homeserver, Letters: s.letters, MailVia: s.config.Mail.via(), HeldBack: s.core.registry.HeldBack, Probes: &s.core.probes,
		Issuer: s.config.Issuer, Public: s.issuer, ServerName: s.config.ServerName, Endpoint: s.config.Endpoint,
		SecretFile: SecretFile(s.core.Database()), Sites: s.deps.Sites, Surroundings: s.deps.Surroundings,
	}
}

func (s *Server) examine(ctx context.Context, _ model.Actor, e Examination) (Diagnosis, error) {
	return s.doctor().Examine(ctx, e)
}
