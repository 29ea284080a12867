package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/synapseconfig"
)

const homeserverCheck = "homeserver.yaml"

// SynapseExamination is what Synapse's configuration is compared with.
type SynapseExamination struct {
	// Paths are what Synapse is started with (--config-path), in that order; a folder stands for its files
	// that end in .yaml. Found tells that nobody named them.
	Paths []string
	Found bool

	// Want is what Synapse should have of us. Exact tells that somebody said so, so that no other address
	// will do.
	Want  Delegation
	Exact bool
	// ServerName and Issuer are those that we are configured with, Homeserver is where we reach Synapse.
	ServerName, Issuer, Homeserver string
	// Near reports whether Synapse reaches us from this machine only, if at all (internal_listen on loopback).
	Near bool

	// User is who must be able to read the file of the secret.
	User SynapseUser

	// Version is that of the running Synapse, empty if it is not known.
	Version string
	// Reached reports whether the running Synapse has just asked us, and with our secret.
	Reached bool
}

// ExamineSynapse looks at Synapse's configuration. What only Synapse's own machine or container can tell is
// not called wrong.
func ExamineSynapse(e SynapseExamination) []Finding {
	config, err := synapseconfig.Read(e.Paths...)
	if err != nil {
		return append([]Finding{e.unreadable(err)}, ExamineSecretFile(e.Want.SecretPath, e.User)...)
	}
	all := e.look(config)
	secretFile := ExamineSecretFile(e.secretFile(config), e.User)
	if !slices.ContainsFunc(all, func(f Finding) bool { return !f.OK }) {
		all = append(all, Well(homeserverCheck, "%s: logins are delegated to us, and nothing keeps Synapse from starting", config))
	}
	all = append(all, secretFile...)
	for _, file := range config.Ignored() {
		all = append(all, Well(homeserverCheck, "Synapse passes over %s: %s", file.Path, file.Why))
	}
	return all
}

func (e SynapseExamination) unreadable(err error) Finding {
	paths := strings.Join(e.Paths, ", ")
	if e.Found && errors.Is(err, fs.ErrPermission) {
		return Well(homeserverCheck, "%s is not seen from here: this user may not read it; run the command as root to have it looked at", paths)
	}
	return Wrong(homeserverCheck, "unreadable", err.Error(), paths, "name the right files with --synapse-config, and run the command as a user who may read them")
}

func (e SynapseExamination) look(config *synapseconfig.Config) (all []Finding) {
	block := config.MAS()
	for _, c := range config.Conflicts() {
		switch {
		case harmless(c.Before, e.Version):
		case block == nil && c.Path == "":
			all = append(all, Wrong(homeserverCheck, "not-delegated", "it does not delegate logins to us", config.String(), e.Want.shownBlock()+e.hint()))
		case c.Unseen && block != nil && (e.Reached || e.elsewhere(block)):
			all = append(all, Well(homeserverCheck, "%s: %s: not seen from here", placeOf(c.Path, c.Line), c.What))
		default:
			all = append(all, Wrong(homeserverCheck, c.Key, c.Key+": "+c.What, placeOf(c.Path, c.Line), c.Change))
		}
	}
	name, path, line := config.ServerName()
	switch {
	case line == 0:
		all = append(all, Wrong(homeserverCheck, "no-server-name", "none of the files sets server_name, and Synapse does not start without it", config.String(),
			"name all that Synapse is started with: --synapse-config, for each path"+e.hint()))
	case name != e.ServerName:
		all = append(all, Wrong(homeserverCheck, "other-server-name", otherServerName(name, e.ServerName), placeOf(path, line), "matrix_auth "+name+" in the Caddyfile"))
	}
	if block == nil {
		return all
	}
	return append(append(all, e.compareEndpoint(block)...), e.compareSecret(block)...)
}

// secretFile returns the file that Synapse reads the secret from, or is to read it from; empty for none, or for one
// of another machine.
func (e SynapseExamination) secretFile(config *synapseconfig.Config) string {
	block := config.MAS()
	switch {
	case block == nil:
		return e.Want.SecretPath
	case block.HasSecret, e.elsewhere(block):
		return ""
	}
	return block.SecretPath
}

// hint names the folder that Debian's service reads too, if it was left out.
func (e SynapseExamination) hint() string {
	for _, path := range e.Paths {
		folder := filepath.Join(filepath.Dir(path), "conf.d")
		if slices.ContainsFunc(e.Paths, func(p string) bool { return filepath.Clean(p) == folder }) {
			continue
		}
		if info, err := os.Stat(folder); err == nil && info.IsDir() {
			return "\nunless it is in " + folder + ", which Debian's service reads too: --synapse-config " + folder
		}
	}
	return ""
}

// compareEndpoint compares the address that Synapse has for us. Names and addresses lead elsewhere in another
// container, so where Synapse may be in one, only scheme, port and path are compared.
func (e SynapseExamination) compareEndpoint(block *synapseconfig.MAS) []Finding {
	have, err := url.Parse(block.Endpoint)
	want, err2 := url.Parse(e.Want.Endpoint)
	if err != nil || err2 != nil || block.Endpoint == "" {
		return nil // Conflicts says so
	}
	place := placeOf(block.Path, block.EndpointLine)
	wrong := Wrong(homeserverCheck, "other-endpoint", "its endpoint is "+withoutUser(block.Endpoint), place, fmt.Sprintf("endpoint: %q", e.Want.Endpoint))
	bothNear := model.IsLoopback(have.Hostname()) && model.IsLoopback(want.Hostname())
	samePort := rootOf(have, "") == rootOf(want, "")
	switch {
	case rootOf(have, have.Hostname()) == rootOf(want, want.Hostname()), bothNear && samePort && !e.Exact, e.isIssuer(have) && !e.Exact:
		return nil
	case e.Exact, model.IsLoopback(have.Hostname()) && !(samePort && e.Reached), !samePort && !e.Reached:
		return []Finding{wrong}
	case e.Near && !e.Reached:
		wrong.What += ", and we listen on this machine's loopback only, which nobody reaches by that name from another machine or container"
		wrong.Change = fmt.Sprintf("endpoint: %q, or an internal_listen in the Caddyfile that Synapse reaches", e.Want.Endpoint)
		return []Finding{wrong}
	}
	what := "it has our port, and whether " + have.Hostname() + " is this machine is not seen from here"
	if e.Reached {
		what = "Synapse reaches us; where " + have.Host + " leads is not seen from here"
	}
	return []Finding{Well(homeserverCheck, "%s: its endpoint is %s: %s", place, withoutUser(block.Endpoint), what)}
}

// isIssuer reports whether an address is our public one, at which we answer Synapse too.
func (e SynapseExamination) isIssuer(u *url.URL) bool {
	issuer, err := url.Parse(e.Issuer)
	return err == nil && issuer.Host != "" && rootOf(u, u.Hostname()) == rootOf(issuer, issuer.Hostname())
}

// rootOf returns an address with this host in its place, in the one form in which equal addresses are equal.
func rootOf(u *url.URL, host string) string {
	port := u.Port()
	if port == "" && u.Scheme == "https" {
		port = "443"
	} else if port == "" {
		port = "80"
	}
	return u.Scheme + "://" + strings.ToLower(host) + ":" + port + strings.TrimSuffix(u.Path, "/")
}

// elsewhere reports whether Synapse seems to be on another machine or in a container, with files of its own.
func (e SynapseExamination) elsewhere(block *synapseconfig.MAS) bool {
	near := func(address string) bool {
		u, err := url.Parse(address)
		return err != nil || u.Host == "" || model.IsLoopback(u.Hostname()) || e.isIssuer(u)
	}
	return !near(e.Homeserver) || !near(block.Endpoint)
}

func (e SynapseExamination) compareSecret(block *synapseconfig.MAS) []Finding {
	secret, err := block.Secret()
	place := placeOf(block.Path, block.SecretLine)
	if errors.Is(err, fs.ErrPermission) {
		return []Finding{Well(homeserverCheck, "%s: the secret in %s is not seen from here: this user may not read it; run the command as root to have it compared", place, block.SecretPath)}
	}
	// Every other error is one of Conflicts too.
	if err != nil || e.Want.Secret == "" || secret == e.Want.Secret {
		return nil
	}
	what, change := "its secret is not ours", "write the same secret in both files"
	if !block.HasSecret && e.elsewhere(block) {
		if e.Reached {
			return []Finding{Well(homeserverCheck, "%s: Synapse has our secret; the file %s, as it is here, has another: where Synapse runs it is not seen from here", place, block.SecretPath)}
		}
		what += ", if " + block.SecretPath + " is the same file where Synapse runs"
	} else if e.Want.SecretPath != "" {
		change = fmt.Sprintf("secret_path: %q", e.Want.SecretPath)
	}
	return []Finding{Wrong(homeserverCheck, "other-secret", what, place, change)}
}

func placeOf(path string, line int) string {
	if line == 0 {
		return path
	}
	return fmt.Sprintf("%s:%d", path, line)
}

func otherServerName(theirs, ours string) string {
	return fmt.Sprintf("its server_name is %s, and the Caddyfile says %s", theirs, ours)
}

// withoutUser returns an address for a finding, without the password that may stand in it.
func withoutUser(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return address
	}
	u.User = nil
	return u.String()
}

// harmless reports whether a setting does no harm from a version of Synapse on that is the running one.
func harmless(before, version string) bool {
	if before == "" || version == "" {
		return false
	}
	from, err := homeserver.ParseVersion(before)
	if err != nil {
		from, err = homeserver.ParseVersion(before + ".0")
	}
	running, err2 := homeserver.ParseVersion(version)
	return err == nil && err2 == nil && !running.Less(from)
}
