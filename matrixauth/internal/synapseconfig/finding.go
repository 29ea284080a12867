package synapseconfig

import (
	"cmp"
	"errors"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Finding is one thing that is wrong with a homeserver.yaml. No field holds a secret.
type Finding struct {
	Path   string // the file whose value counts; empty if none has the key
	Line   int    // counted from 1; 0 if something is missing
	Key    string // with dots between levels: password_config.enabled
	What   string // what is wrong and what comes of it
	Change string // what to do about it, with the line to write
	// Before is the Synapse version from which on the setting does no harm any more, "" if it always does.
	Before string
	// Unseen reports whether a file which the configuration names is not there as seen from here. Synapse may run
	// in a container or on another machine.
	Unseen bool
}

// Conflicts returns the settings that make Synapse refuse to start, or not reach the service, once
// matrix_authentication_service is on; they are judged as if it was on, in the order of the file
// (SYN-16). What only a module's own code shows is not seen.
func (c *Config) Conflicts() []Finding {
	findings := append(c.blockFindings(), c.SettingsToRemove()...)
	c.sort(findings)
	return findings
}

// SettingsToRemove returns those of Conflicts that lie outside the block: what must go before it is put in.
func (c *Config) SettingsToRemove() []Finding {
	var findings []Finding
	for _, setting := range conflicts {
		f, key, value := c.get(setting.path()...)
		if key == nil || !setting.bad(value) {
			continue
		}
		// disable_registration, where it is set, alone decides.
		if setting.key == "enable_registration" && c.owner("disable_registration") != nil {
			continue
		}
		findings = append(findings, setting.finding(f.name, key.Line))
	}
	findings = append(findings, c.msc3861Findings()...)
	findings = append(findings, c.moduleFindings()...)
	c.sort(findings)
	return findings
}

// sort brings findings into the order of the files and of their lines.
func (c *Config) sort(findings []Finding) {
	names := c.Names()
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(slices.Index(names, a.Path)-slices.Index(names, b.Path), a.Line-b.Line)
	})
}

func (c *Config) blockFindings() []Finding {
	f, key, value := c.get(keyMAS)
	block := deref(value)
	if key == nil {
		return []Finding{{Key: keyMAS, What: "Synapse does not delegate its logins: the block is missing",
			Change: "add the block " + keyMAS + " with enabled, endpoint and secret_path"}}
	}
	if kindOf(block) == kindNull {
		return []Finding{{Path: f.name, Line: key.Line, Key: keyMAS, What: "Synapse does not delegate its logins: the block is missing",
			Change: "add the block " + keyMAS + " with enabled, endpoint and secret_path"}}
	}
	if block.Kind != yaml.MappingNode {
		return []Finding{{Path: f.name, Line: key.Line, Key: keyMAS, What: "the block is not a mapping, so Synapse does not start",
			Change: "write enabled, endpoint and secret_path below " + keyMAS}}
	}
	for i := 0; i < len(block.Content); i += 2 {
		if name := block.Content[i]; kindOf(name) != kindString && !isMerge(name) {
			return []Finding{{Path: f.name, Line: name.Line, Key: keyMAS, What: "a key of the block is not text, so Synapse does not start",
				Change: "remove the line; the block has enabled, endpoint and secret_path"}}
		}
	}
	var findings []Finding
	add := func(name, what, change string) {
		line := key.Line
		if k, _ := lookup(block, name); k != nil {
			line = k.Line
		}
		findings = append(findings, Finding{Path: f.name, Line: line, Key: keyMAS + "." + name, What: what, Change: change})
	}
	_, enabled := lookup(block, "enabled")
	switch {
	case isTrue(enabled):
	case !truthy(enabled):
		add("enabled", "delegation is switched off, so Synapse answers logins itself", "enabled: true")
	default:
		add("enabled", "the value is not a boolean, so Synapse does not start", "enabled: true")
	}
	if k, endpoint := lookup(block, "endpoint"); k != nil && !isEndpoint(stringOf(endpoint)) {
		add("endpoint", "the endpoint is not an http:// or https:// URL with a host, so Synapse does not start", `endpoint: "http://127.0.0.1:PORT/"`)
	}
	if k, http2 := lookup(block, "force_http2"); k != nil && kindOf(http2) != kindBool {
		add("force_http2", "the value is not a boolean, so Synapse (from 1.151 on) does not start", "force_http2: false, or remove the line")
	}
	f.secretFindings(block, add)
	for i := range findings {
		findings[i].Unseen = findings[i].Key == keyMAS+".secret_path" && f.secretIsAbsent(block)
	}
	return append(findings, f.emptySecretFindings(block)...)
}

func (f *File) secretFindings(block *yaml.Node, add func(name, what, change string)) {
	_, secret := lookup(block, "secret")
	pathKey, path := lookup(block, "secret_path")
	fileKey, _ := lookup(block, "secret_file")
	if fileKey != nil {
		add("secret_file", "Synapse ignores secret_file; it reads secret_path", "rename secret_file to secret_path")
	}
	if kind := kindOf(secret); kind != kindNull && kind != kindString {
		add("secret", "the secret is not text in YAML but a number, a boolean or another kind of value, so Synapse does not start", "put the secret in quotes")
		return
	}
	if truthy(secret) && !IsBearer(stringOf(secret)) {
		add("secret", "the secret has a blank, a line break or a character that is not ASCII, which an HTTP header cannot carry", "use a secret of letters and digits")
	}
	if stringOf(secret) != "" && truthy(path) {
		add("secret_path", "secret and secret_path are both set, so Synapse does not start", "remove one of the two lines")
		return
	}
	if pathKey != nil && stringOf(path) == "" && kindOf(path) != kindNull {
		add("secret_path", "secret_path names no file, so Synapse does not start", "secret_path: /path/to/the/file")
		return
	}
	if !truthy(secret) && !truthy(path) {
		if fileKey == nil {
			add("secret", "neither secret nor secret_path is set, so Synapse cannot call the service", "add secret_path: /path/to/the/file")
		}
		return
	}
	if !truthy(path) {
		return
	}
	f.secretFileFinding(stringOf(path), lineOf(pathKey), add)
}

// secretIsAbsent reports whether the block names a file that is not there.
func (f *File) secretIsAbsent(block *yaml.Node) bool {
	_, path := lookup(block, "secret_path")
	if stringOf(path) == "" {
		return false
	}
	_, err := os.Stat(f.resolve(stringOf(path)))
	return errors.Is(err, fs.ErrNotExist)
}

// emptySecretFindings returns keys without a value beside the one that counts.
func (f *File) emptySecretFindings(block *yaml.Node) []Finding {
	secretKey, secret := lookup(block, "secret")
	pathKey, path := lookup(block, "secret_path")
	const what = "the key is empty, and Synapse before 1.142 does not start with both keys"
	switch {
	case truthy(secret) && pathKey != nil && kindOf(path) == kindNull:
		return []Finding{{Path: f.name, Line: pathKey.Line, Key: keyMAS + ".secret_path", What: what, Change: "remove the line", Before: "1.142"}}
	case truthy(path) && secretKey != nil && (kindOf(secret) == kindNull || stringOf(secret) == "" && kindOf(secret) == kindString):
		return []Finding{{Path: f.name, Line: secretKey.Line, Key: keyMAS + ".secret", What: what, Change: "remove the line", Before: "1.142"}}
	}
	return nil
}

// secretFileFinding looks at the file itself. A file that only Synapse's user may read is no finding.
func (f *File) secretFileFinding(path string, line int, add func(name, what, change string)) {
	secret, err := f.readSecret(path, line, keyMAS+".secret_path")
	var problem *Error
	switch {
	case err == nil && !IsBearer(secret):
		add("secret_path", "the secret in "+path+" has a blank, a line break or a character that is not ASCII, which an HTTP header cannot carry", "write a secret of letters and digits into the file")
	case errors.Is(err, fs.ErrPermission):
	case errors.As(err, &problem):
		add("secret_path", strings.TrimPrefix(problem.Reason, keyMAS+".secret_path: "), "secret_path: /path/to/the/file, which must exist before Synapse starts")
	}
}

func (c *Config) msc3861Findings() []Finding {
	var findings []Finding
	old := c.MSC3861()
	mas := c.MAS()
	switch {
	case old != nil && mas != nil:
		findings = append(findings, Finding{Path: old.Path, Line: old.Line, Key: keyExperimental + "." + keyMSC3861,
			What:   "msc3861 and " + keyMAS + " are both set, so Synapse does not start (before 1.157 only if msc3861 is enabled)",
			Change: "remove msc3861 with all that is indented below it"})
	case old != nil:
		findings = append(findings, Finding{Path: old.Path, Line: old.Line, Key: keyExperimental + "." + keyMSC3861,
			What:   "msc3861 was removed in Synapse 1.157, which does not start with it",
			Change: "replace msc3861 by " + keyMAS})
	}
	for _, name := range []string{"msc4108_enabled", "msc4108_delegation_endpoint"} {
		f, key, value := c.get(keyExperimental, name)
		if key == nil || kindOf(value) == kindNull || name == "msc4108_enabled" && !truthy(value) {
			continue
		}
		findings = append(findings, Finding{Path: f.name, Line: key.Line, Key: keyExperimental + "." + name, Before: "1.137",
			What:   "Synapse 1.136 does not start with msc4108 unless msc3861 is on; from 1.137 on it does",
			Change: "use Synapse 1.137 or later, or remove the line"})
	}
	return findings
}

// passwordModules are modules, widely installed, that register password checks. Synapse stops at such a
// registration while it starts; whether another module does so only its code shows.
var passwordModules = []string{"ldap_auth_provider.", "shared_secret_authenticator.", "rest_auth_provider.", "synapse_token_authenticator.", "synapse.util.ldap_auth_provider."}

func (c *Config) moduleFindings() []Finding {
	f, _, value := c.get("modules")
	list := deref(value)
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	var findings []Finding
	for _, entry := range list.Content {
		key, module := lookup(entry, "module")
		name := stringOf(module)
		if !slices.ContainsFunc(passwordModules, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		findings = append(findings, Finding{Path: f.name, Line: key.Line, Key: "modules", Change: "remove the entry " + name,
			What: "the module " + name + " checks passwords, so Synapse does not start under delegation"})
	}
	return findings
}

// isEndpoint reports whether all versions of Synapse accept an endpoint: an http or https URL with a host.
func isEndpoint(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsAny(text, " \t\r\n\\") || strings.HasSuffix(u.Host, ":") {
		return false
	}
	if port := u.Port(); port != "" {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return false
		}
	}
	if strings.HasPrefix(u.Host, "[") {
		return true // an IPv6 address, which the URL's parser has looked at
	}
	labels := strings.Split(strings.TrimSuffix(u.Hostname(), "."), ".")
	if len(labels) == 4 && !slices.ContainsFunc(labels, func(l string) bool { return strings.Trim(l, "0123456789") != "" }) {
		_, err := netip.ParseAddr(u.Hostname())
		return err == nil
	}
	return !slices.ContainsFunc(labels, func(l string) bool { return l == "" || l[0] == '-' || l[len(l)-1] == '-' })
}
