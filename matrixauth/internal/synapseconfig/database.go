package synapseconfig

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The engines of a Database.
const (
	SQLite     = "sqlite3"
	PostgreSQL = "psycopg2"
)

// Database says where Synapse's users are and how it gets there. The password comes only from its method Password.
type Database struct {
	// Engine is SQLite or PostgreSQL; empty if the configuration names none that can be read, which is a finding.
	Engine string
	// SettingPath and Line are where it is configured.
	SettingPath string
	Line        int

	// Path is the file of SQLite. One that is relative there is given as seen from MoveOptions.Dir.
	Path string

	// What follows is for PostgreSQL, as text that libpq takes; empty if it is not set. libpq's environment variables
	// are Synapse's own and are not read.
	DSN, User, Name, Host, HostAddr, Port          string
	SSLMode, SSLRootCert, SSLCert, SSLKey, SSLCRL  string
	PassFile, ConnectTimeout, Options, TargetAttrs string

	password string
}

// Password returns the password of PostgreSQL's user, empty if none is set. It must not reach a log. A DSN may hold one
// too.
func (d Database) Password() string { return d.password }

// String says what is reached. It keeps password and DSN out of logs.
func (d Database) String() string {
	switch {
	case d.Engine == SQLite:
		return "SQLite, " + d.Path
	case d.DSN != "":
		return "PostgreSQL"
	case d.Engine == PostgreSQL:
		return fmt.Sprintf("PostgreSQL, database %q of user %q at %q", d.Name, d.User, d.Host)
	}
	return "no database"
}

// GoString is String: it keeps the password out of %#v.
func (d Database) GoString() string { return d.String() }

// database returns the connection that holds Synapse's users (of several it is that of the data store "main"), with
// the file of its setting.
func (s *MoveSettings) readDatabase(c *Config, dir string) {
	f, key, value := c.get("database")
	several, severalKey, connections := c.get("databases")
	pathFile, pathKey, oldPath := c.get("database_path")
	switch {
	case truthy(value) && truthy(connections), truthy(connections) && truthy(oldPath):
		s.find(kindDatabaseAmbiguous, several, severalKey, "")
		return
	case truthy(connections):
		f, key, value = several, severalKey, mainOf(connections)
	}
	if truthy(oldPath) && (!truthy(value) || engineOf(value) == SQLite) {
		s.Database = Database{Engine: SQLite, SettingPath: pathFile.name, Line: pathKey.Line}
		s.sqlite(pathFile, pathKey, oldPath, dir)
		return
	}
	if !truthy(value) {
		s.find(kindDatabaseMissing, f, key, "")
		return
	}
	s.Database = Database{Engine: engineOf(value), SettingPath: f.name, Line: key.Line}
	_, args := lookup(value, "args")
	switch s.Database.Engine {
	case SQLite:
		if pathOf, path := lookup(args, "database"); pathOf != nil {
			key, value = pathOf, path
		} else {
			value = nil
		}
		if _, uri := lookup(args, "uri"); truthy(uri) {
			s.unusable(kindDatabaseURI, f, key)
			return
		}
		s.sqlite(f, key, value, dir)
	case PostgreSQL:
		s.postgres(f, key, args)
	default:
		s.unusable(kindDatabaseUnknown, f, key)
	}
}

// unusable notes a database that cannot be read, and forgets it.
func (s *MoveSettings) unusable(kind moveKind, f *File, key *yaml.Node) {
	s.find(kind, f, key, "")
	s.Database = Database{SettingPath: f.name, Line: lineOf(key)}
}

// engineOf returns the name of a connection's engine, which Synapse takes for sqlite3 if it is not set.
func engineOf(connection *yaml.Node) string {
	key, name := lookup(connection, "name")
	if key == nil {
		return SQLite
	}
	return stringOf(name)
}

// mainOf returns the connection of the data store "main"; one without data_stores has them all.
func mainOf(connections *yaml.Node) *yaml.Node {
	connections = deref(connections)
	if connections.Kind != yaml.MappingNode {
		return nil
	}
	for i := 1; i < len(connections.Content); i += 2 {
		connection := connections.Content[i]
		_, stores := lookup(connection, "data_stores")
		if kindOf(stores) == kindNull {
			return connection
		}
		if list := deref(stores); list.Kind == yaml.SequenceNode && slices.ContainsFunc(list.Content, func(n *yaml.Node) bool { return stringOf(n) == "main" }) {
			return connection
		}
	}
	return nil
}

// sqlite resolves a path as Synapse does, which opens a relative one from the directory that it is started in.
func (s *MoveSettings) sqlite(f *File, key, value *yaml.Node, dir string) {
	path := stringOf(value)
	if path == "" || path == ":memory:" {
		s.unusable(kindDatabaseInMemory, f, key)
		return
	}
	s.Database.Line = key.Line
	if !filepath.IsAbs(path) {
		s.find(kindDatabaseRelative, f, key, path)
		path = filepath.Join(dir, path)
	}
	s.Database.Path = path
}

// ignoredArguments change how Synapse pools and keeps its connections, not what it sees.
var ignoredArguments = []string{"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "application_name", "fallback_application_name", "client_encoding"}

// postgres reads what psycopg2 gives to libpq: each value as Python's str() has it, without those that are null.
func (s *MoveSettings) postgres(f *File, key, args *yaml.Node) {
	d := &s.Database
	known := map[string]*string{
		"dsn": &d.DSN, "user": &d.User, "password": &d.password, "database": &d.Name, "dbname": &d.Name, "host": &d.Host, "hostaddr": &d.HostAddr, "port": &d.Port,
		"sslmode": &d.SSLMode, "sslrootcert": &d.SSLRootCert, "sslcert": &d.SSLCert, "sslkey": &d.SSLKey, "sslcrl": &d.SSLCRL,
		"passfile": &d.PassFile, "connect_timeout": &d.ConnectTimeout, "options": &d.Options, "target_session_attrs": &d.TargetAttrs,
	}
	seen := map[string]bool{}
	for _, name := range keysOf(args) {
		argument, value := lookup(args, name)
		if kindOf(value) == kindNull || seen[name] {
			continue
		}
		seen[name] = true
		switch field := known[name]; {
		case field != nil:
			*field = pythonText(value)
		case !strings.HasPrefix(name, "cp_") && !slices.Contains(ignoredArguments, name):
			s.find(kindDatabaseArgument, f, argument, name)
		}
	}
	if d.Name == "" && d.DSN == "" {
		d.Name = d.User // libpq's own default
	}
	d.Line = key.Line
}

// keysOf returns the names of a mapping's own keys and of those that << brings.
func keysOf(m *yaml.Node) []string {
	var names []string
	seen := map[*yaml.Node]bool{}
	var walk func(*yaml.Node)
	walk = func(m *yaml.Node) {
		if m = deref(m); m == nil || m.Kind != yaml.MappingNode || seen[m] {
			return
		}
		seen[m] = true
		for i := 0; i < len(m.Content); i += 2 {
			if isMerge(m.Content[i]) {
				for _, source := range sourcesOf(m.Content[i+1]) {
					walk(source)
				}
			} else if name := stringOf(m.Content[i]); name != "" {
				names = append(names, name)
			}
		}
	}
	walk(m)
	return names
}

// pythonText is Python's str() of a scalar: a password of digits is a number in YAML, and 0123 is octal.
func pythonText(n *yaml.Node) string {
	n = deref(n)
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	switch kindOf(n) {
	case kindBool:
		if truthy(n) {
			return "True"
		}
		return "False"
	case kindInt:
		if number, ok := intOf(n.Value); ok {
			return number.String()
		}
	}
	return n.Value
}
