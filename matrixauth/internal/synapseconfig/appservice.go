package synapseconfig

import (
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// Appservice is an application service of Synapse. Its users stay with Synapse. Its tokens are not read.
type Appservice struct {
	Path            string // as seen from MoveOptions.Dir
	ID              string
	SenderLocalpart string
	Users           []Namespace
}

// Namespace is a regular expression of Python that whole Matrix ids are compared with from their first character on.
type Namespace struct {
	Regex     string
	Exclusive bool
}

// readAppservices reads the files that app_service_config_files names. One that cannot be read is a finding: which
// users are an application service's stands in Synapse's database too.
func (s *MoveSettings) readAppservices(c *Config, dir string) {
	f, key, list := c.get("app_service_config_files")
	if !truthy(list) {
		return
	}
	if list = deref(list); list.Kind != yaml.SequenceNode {
		s.find(kindAppserviceFile, f, key, "the setting is no list")
		return
	}
	for _, entry := range list.Content {
		path := stringOf(entry)
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		found, why := readAppservice(path)
		if why != "" {
			s.find(kindAppserviceFile, f, entry, why)
			continue
		}
		s.Appservices = append(s.Appservices, found)
	}
}

func readAppservice(path string) (found Appservice, why string) {
	data, err := readBounded(path, bound.SynapseFile)
	if err != nil {
		return found, path + ": " + reasonOf(err)
	}
	file, err := Parse(path, data)
	if err != nil {
		return found, err.Error()
	}
	text := func(names ...string) string {
		_, value := file.get(names...)
		return stringOf(value)
	}
	found = Appservice{Path: path, ID: text("id"), SenderLocalpart: text("sender_localpart")}
	if found.ID == "" || found.SenderLocalpart == "" {
		return found, path + ": id or sender_localpart is missing"
	}
	_, users := file.get("namespaces", "users")
	if users = deref(users); users == nil || users.Kind != yaml.SequenceNode {
		return found, ""
	}
	for _, entry := range users.Content {
		_, regex := lookup(entry, "regex")
		_, exclusive := lookup(entry, "exclusive")
		if pattern := stringOf(regex); strings.TrimSpace(pattern) != "" {
			found.Users = append(found.Users, Namespace{Regex: pattern, Exclusive: isTrue(exclusive)})
		}
	}
	return found, ""
}
