package rig

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// The versions of Synapse that tests run on: the oldest that is supported, and the newest.
const (
	Oldest = "1.136.0"
	Newest = "1.163.2"
)

// Versions lists them.
var Versions = []string{Oldest, Newest}

// SynapseConfig says which Synapse to run.
type SynapseConfig struct {
	Version    string
	ServerName string
	// Endpoint and Secret delegate its logins.
	Endpoint, Secret string
	// Delegation stands in homeserver.yaml in place of the block for Endpoint and Secret.
	Delegation string
	// Database stands in homeserver.yaml in place of an SQLite database in its directory.
	Database string
	// PublicURL is the address that clients use.
	PublicURL string
	// ConfigPaths are read after homeserver.yaml, as Debian's service reads a folder.
	ConfigPaths []string
	// Compress has it compress its answers by itself.
	Compress bool
	// Keys has its listener serve its signing keys too, as that of its package does for other servers.
	Keys bool
}

// Synapse is a running Synapse.
type Synapse struct {
	SynapseConfig
	// Dir holds its files, homeserver.yaml among them.
	Dir string
	// URL is its client API.
	URL  string
	t    testing.TB
	proc *process
}

// NewSynapse writes the configuration of a Synapse that is not started.
func NewSynapse(t testing.TB, c SynapseConfig) *Synapse {
	t.Helper()
	port := FreePort(t)
	s := &Synapse{SynapseConfig: c, Dir: t.TempDir(), URL: fmt.Sprintf("http://127.0.0.1:%d", port), t: t}
	if s.Delegation == "" {
		s.Delegation = fmt.Sprintf("matrix_authentication_service: {enabled: true, endpoint: %q, secret: %q}", c.Endpoint, c.Secret)
	}
	if s.PublicURL == "" {
		s.PublicURL = s.URL
	}
	if s.Database == "" {
		s.Database = fmt.Sprintf("{name: sqlite3, args: {database: %q}}", s.SQLite())
	}
	more := ""
	if c.Keys {
		more = ", keys"
	}
	s.write("homeserver.yaml", fmt.Sprintf(synapseYAML, s.ServerName, s.PublicURL, s.Dir, port, s.Delegation, s.Compress, more, s.Database))
	s.write("log.yaml", fmt.Sprintf(synapseLog, s.logFile()))
	s.write("bridge.yaml", bridgeYAML)
	showLog(t, s.logFile())
	showLog(t, s.outFile())
	t.Cleanup(s.Stop)
	return s
}

// StartSynapse starts a Synapse and waits until it answers.
func StartSynapse(t testing.TB, c SynapseConfig) *Synapse {
	t.Helper()
	s := NewSynapse(t, c)
	s.Start()
	return s
}

// BridgeToken is the as_token of the application service that every Synapse of the rig knows; its
// users are @bridge_….
const BridgeToken = "bridge-as-token"

const bridgeYAML = `id: bridge
url: null
as_token: ` + BridgeToken + `
hs_token: bridge-hs-token
sender_localpart: bridgebot
namespaces: {users: [{exclusive: true, regex: "@bridge_.*"}], rooms: [], aliases: []}
io.element.msc4190: true
`

// synapseYAML is meant for new databases: Synapse builds their indexes without its usual pauses.
const synapseYAML = `server_name: %[1]q
public_baseurl: "%[2]s/"
report_stats: false
pid_file: "%[3]s/synapse.pid"
listeners:
  - {port: %[4]d, bind_addresses: ["127.0.0.1"], type: http, tls: false, x_forwarded: true, resources: [{names: [client%[7]s], compress: %[6]t}]}
database: %[8]s
media_store_path: "%[3]s/media"
signing_key_path: "%[3]s/signing.key"
log_config: "%[3]s/log.yaml"
app_service_config_files: ["%[3]s/bridge.yaml"]
trusted_key_servers: []
suppress_key_server_warning: true
federation_domain_whitelist: []
presence: {enabled: false}
background_updates: {sleep_enabled: false}
macaroon_secret_key: "macaroon"
form_secret: "form"
serve_server_wellknown: false
rc_message: {per_second: 1000, burst_count: 1000}
rc_room_creation: {per_second: 1000, burst_count: 1000}
rc_joins: {local: {per_second: 1000, burst_count: 1000}, remote: {per_second: 1000, burst_count: 1000}}
rc_invites: {per_room: {per_second: 1000, burst_count: 1000}, per_user: {per_second: 1000, burst_count: 1000}, per_issuer: {per_second: 1000, burst_count: 1000}}
%[5]s
`

const synapseLog = `version: 1
formatters: {plain: {format: '%%(asctime)s %%(levelname)s %%(name)s %%(message)s'}}
handlers: {file: {class: logging.FileHandler, filename: %q, formatter: plain}}
root: {level: INFO, handlers: [file]}
disable_existing_loggers: false
`

func (s *Synapse) write(name, text string) {
	if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// Config is the path of homeserver.yaml.
func (s *Synapse) Config() string { return filepath.Join(s.Dir, "homeserver.yaml") }

// SQLite is the path of its SQLite database, if it has one.
func (s *Synapse) SQLite() string { return filepath.Join(s.Dir, "homeserver.db") }

func (s *Synapse) logFile() string { return filepath.Join(s.Dir, "synapse.log") }
func (s *Synapse) outFile() string { return filepath.Join(s.Dir, "synapse.out") }

// Python is the interpreter of a version's virtual environment.
func Python(t testing.TB, version string) string {
	t.Helper()
	return Cache(t, "synapse-"+version, "bin", "python")
}

// Start starts a Synapse that is not running, on the data and the port that it had.
func (s *Synapse) Start() {
	s.t.Helper()
	if err := s.TryStart(); err != nil {
		s.t.Fatal(err)
	}
}

// TryStart starts it and gives an error if it does not come up.
func (s *Synapse) TryStart() (err error) {
	s.t.Helper()
	args := []string{"-m", "synapse.app.homeserver", "-c", "homeserver.yaml"}
	for _, path := range s.ConfigPaths {
		args = append(args, "-c", path)
	}
	s.proc, err = launch(s.Dir, s.outFile(), nil, Python(s.t, s.Version), args...)
	if err != nil {
		return err
	}
	return await(func() error { return Answers(s.URL + "/health") }, s.proc.done)
}

// Stop ends it and waits for its end.
func (s *Synapse) Stop() {
	s.t.Helper()
	if s.proc == nil {
		return
	}
	if err := s.proc.end(syscall.SIGTERM); err != nil {
		s.t.Error(err)
	}
	s.proc = nil
}

// Kill ends it as a loss of power does, with what SQLite has beside its database then.
func (s *Synapse) Kill() {
	s.t.Helper()
	if err := s.proc.end(syscall.SIGKILL); err != nil {
		s.t.Error(err)
	}
	s.proc = nil
}

// Answers returns nil if a GET is answered with 200.
func Answers(url string) error {
	response, err := http.Get(url)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}
