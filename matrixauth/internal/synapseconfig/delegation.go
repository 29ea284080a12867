package synapseconfig

import "go.yaml.in/yaml/v3"

const (
	keyMAS          = "matrix_authentication_service"
	keyExperimental = "experimental_features"
	keyMSC3861      = "msc3861"
)

// defaultEndpoint is where Synapse looks for the service when the block names no endpoint.
const defaultEndpoint = "http://localhost:8080/"

// MAS is the matrix_authentication_service block. The secret itself comes only from its method Secret.
type MAS struct {
	Path           string // of the file whose block counts
	Line           int    // of the block's key
	Enabled        bool   // enabled is the boolean true
	Endpoint       string // as written; Synapse's default if the block names none
	EndpointLine   int    // of endpoint, or of the block if it names none
	HasSecret      bool   // secret is written into the file
	SecretPath     string // as written, "" if not set
	SecretLine     int    // of secret, secret_path or secret_file, or of the block if there is none
	UsesSecretFile bool   // secret_file is set: the other side's spelling, which Synapse ignores
	ForceHTTP2     bool

	file   *File
	secret string
}

// MAS returns the matrix_authentication_service block that counts, nil if there is none or an empty one.
func (c *Config) MAS() *MAS {
	f, key, block := c.get(keyMAS)
	if block = deref(block); block == nil || block.Kind != yaml.MappingNode {
		return nil
	}
	m := &MAS{Path: f.name, Line: key.Line, EndpointLine: key.Line, SecretLine: key.Line, Endpoint: defaultEndpoint, file: f}
	_, enabled := lookup(block, "enabled")
	m.Enabled = isTrue(enabled)
	if k, endpoint := lookup(block, "endpoint"); k != nil {
		m.Endpoint, m.EndpointLine = stringOf(endpoint), k.Line
	}
	if k, _ := lookup(block, "secret_file"); k != nil {
		m.UsesSecretFile, m.SecretLine = true, k.Line
	}
	if k, path := lookup(block, "secret_path"); k != nil && stringOf(path) != "" {
		m.SecretPath, m.SecretLine = stringOf(path), k.Line
	}
	if k, secret := lookup(block, "secret"); k != nil && stringOf(secret) != "" {
		m.secret, m.HasSecret, m.SecretLine = stringOf(secret), true, k.Line
	}
	_, http2 := lookup(block, "force_http2")
	m.ForceHTTP2 = isTrue(http2)
	return m
}

// Secret returns the secret that Synapse shares with the service: the value of secret, or what the file at
// secret_path holds without the blanks around it. It is an *Error if there is none or the file cannot be read.
// It must not reach a log.
func (m *MAS) Secret() (string, error) {
	if m.HasSecret {
		return m.secret, nil
	}
	if m.SecretPath == "" {
		return "", m.file.errorf(m.Line, "%s sets neither secret nor secret_path", keyMAS)
	}
	return m.file.readSecret(m.SecretPath, m.SecretLine, keyMAS+".secret_path")
}

// String returns where the block stands. It keeps the secret out of logs.
func (m MAS) String() string { return m.file.errorf(m.Line, keyMAS).Error() }

// GoString is String: it keeps the secret out of %#v.
func (m MAS) GoString() string { return m.String() }

// MSC3861 is the experimental_features.msc3861 block, which Synapse 1.157 removed. The token comes
// only from its method AdminToken.
type MSC3861 struct {
	Path           string // of the file whose block counts
	Line           int    // of the block's key
	Enabled        bool
	Issuer         string
	ClientID       string // the client that Synapse is in the service used so far
	HasAdminToken  bool   // admin_token is written into the file
	AdminTokenPath string // as written, "" if not set

	file  *File
	token string
	line  int // of admin_token or admin_token_path, or of the block
}

// MSC3861 returns the experimental_features.msc3861 block that counts, nil if there is none or an empty one.
func (c *Config) MSC3861() *MSC3861 {
	f, key, block := c.get(keyExperimental, keyMSC3861)
	if block = deref(block); block == nil || block.Kind != yaml.MappingNode || len(block.Content) == 0 {
		return nil
	}
	text := func(name string) string {
		_, value := lookup(block, name)
		return stringOf(value)
	}
	m := &MSC3861{Path: f.name, Line: key.Line, line: key.Line, file: f}
	_, enabled := lookup(block, "enabled")
	m.Enabled = isTrue(enabled)
	m.Issuer, m.ClientID = text("issuer"), text("client_id")
	m.AdminTokenPath, m.token = text("admin_token_path"), text("admin_token")
	m.HasAdminToken = m.token != ""
	for _, name := range []string{"admin_token_path", "admin_token"} {
		if k, _ := lookup(block, name); k != nil && text(name) != "" {
			m.line = k.Line
		}
	}
	return m
}

// AdminToken returns the token by which the service used so far called Synapse: the value of admin_token,
// or what the file at admin_token_path holds. It is an *Error if there is none or the file cannot be
// read. It must not reach a log.
func (m *MSC3861) AdminToken() (string, error) {
	if m.HasAdminToken {
		return m.token, nil
	}
	if m.AdminTokenPath == "" {
		return "", m.file.errorf(m.Line, "msc3861 sets neither admin_token nor admin_token_path, so there is no secret to carry over")
	}
	return m.file.readSecret(m.AdminTokenPath, m.line, "admin_token_path")
}

// String returns where the block stands. It keeps the token out of logs.
func (m MSC3861) String() string { return m.file.errorf(m.Line, keyMSC3861).Error() }

// GoString is String: it keeps the token out of %#v.
func (m MSC3861) GoString() string { return m.String() }
