package synapseconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Options say what the new block of MigrateMSC3861 holds.
type Options struct {
	// Endpoint is the http or https URL at which Synapse reaches the service.
	Endpoint string
	// SecretPath, if not empty, is written as secret_path instead of the token that the file holds now.
	// If the file exists it must hold that token.
	SecretPath string
}

// Migration is a changed homeserver.yaml, not yet written. Printing it shows the diff, never a secret.
type Migration struct {
	Path                string    // of the file that is changed
	New                 []byte    `json:"-"` // the whole new file; holds secrets
	Diff                string    // unified; values that may be secrets are masked
	Secret              string    `json:"-"` // what the service must use as its shared secret
	SecretPath          string    // the file that the new block names, "" if the secret stands in the block
	ProvisionedClientID string    // Synapse's client in the service used so far, "" if unknown; it can go there
	Notes               []string  // plain sentences for the person who migrates
	Conflicts           []Finding // of the configuration with the new file

	old      []byte
	endpoint string
	// unready is a change that may be looked at only, as there is no secret yet.
	unready bool
}

// String returns the diff.
func (m Migration) String() string { return m.Diff }

// GoString returns the diff: it keeps the secret out of %#v.
func (m Migration) GoString() string { return m.Diff }

// MigrateMSC3861 replaces experimental_features.msc3861 by matrix_authentication_service, with the same secret, in the
// file that holds it, and changes no other byte. If the old form is not entirely clear, it returns an *Error that says
// why and where: ErrAlreadyMigrated, ErrNothingToMigrate or a reason of its own.
func (c *Config) MigrateMSC3861(options Options) (*Migration, error) {
	if err := CheckEndpoint(options.Endpoint); err != nil {
		return nil, err
	}
	old, err := c.migratable()
	if err != nil {
		return nil, err
	}
	f := old.file
	if err := f.checkForm(); err != nil {
		return nil, err
	}
	secret, secretPath, err := f.carriedSecret(old, options)
	if err != nil {
		return nil, err
	}
	plan, err := f.planMigration(Block(options.Endpoint, secret, secretPath))
	if err != nil {
		return nil, err
	}
	if err := c.checkReplaced(f); err != nil {
		return nil, err
	}
	m := &Migration{Path: f.name, Secret: secret, SecretPath: secretPath, ProvisionedClientID: old.ClientID, old: f.raw, endpoint: options.Endpoint}
	m.New = append(f.raw[:len(f.raw)-len(f.text):len(f.raw)-len(f.text)], plan.apply(f.text, f.lines)...)
	after, err := c.checkResult(f, m)
	if err != nil {
		return nil, err
	}
	m.Conflicts = after.Conflicts()
	if m.Diff, err = f.maskedDiff(plan, secret, old.token); err != nil {
		return nil, err
	}
	m.Notes, err = f.notes(old, plan, secretPath)
	return m, err
}

// CheckEndpoint returns an error if Synapse could not reach the service at an address.
func CheckEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || !isEndpoint(endpoint) || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("the endpoint must be an http or https URL with a host and without user, query or fragment")
	}
	return nil
}

// migratable returns the old block if Synapse delegates by it alone, and completely.
func (c *Config) migratable() (*MSC3861, error) {
	other, newKey, _ := c.get(keyMAS)
	old := c.MSC3861()
	if old == nil {
		return nil, c.whyNotMigratable(other, newKey)
	}
	f := old.file
	if newKey != nil {
		return nil, other.errorf(newKey.Line, "half done: %s is here and msc3861 is still on %s; remove one of the two", keyMAS, f.place(old.Line, other))
	}
	_, block := f.get(keyExperimental, keyMSC3861)
	enabledKey, enabled := lookup(block, "enabled")
	switch {
	case enabledKey == nil:
		return nil, f.errorf(old.Line, "msc3861 has no enabled: true, so Synapse does not use it; there is nothing to carry over")
	case kindOf(enabled) != kindBool:
		return nil, f.errorf(enabledKey.Line, "msc3861.enabled is not a boolean; Synapse does not start with this file")
	case !old.Enabled:
		return nil, f.errorf(enabledKey.Line, "msc3861 is switched off (enabled: false), so this file does not delegate logins; there is nothing to carry over")
	}
	for _, name := range []string{"admin_token", "admin_token_path"} {
		if key, value := lookup(block, name); key != nil && kindOf(value) != kindNull && kindOf(value) != kindString {
			return nil, f.errorf(key.Line, "msc3861.%s is not text but a number or another type in YAML; put it in quotes", name)
		}
	}
	if old.HasAdminToken && old.AdminTokenPath != "" {
		return nil, f.errorf(old.line, "admin_token and admin_token_path are both set, which Synapse refuses; remove one of the two")
	}
	return old, nil
}

// whyNotMigratable says what there is instead of an old block; newKey is that of the new block in other,
// nil if there is none.
func (c *Config) whyNotMigratable(other *File, newKey *yaml.Node) error {
	f, oldKey, _ := c.get(keyExperimental, keyMSC3861)
	switch mas := c.MAS(); {
	case mas != nil && mas.Enabled && oldKey == nil:
		return other.kindf(ErrAlreadyMigrated, mas.Line, "already migrated: %s is on and msc3861 is gone", keyMAS)
	case newKey != nil && oldKey != nil:
		return f.errorf(oldKey.Line, "half done: msc3861 is empty and %s is on %s; remove the empty key", keyMAS, other.place(newKey.Line, f))
	case newKey != nil:
		return other.errorf(newKey.Line, "msc3861 is gone and %s is not enabled; set enabled: true there", keyMAS)
	case oldKey != nil:
		return f.kindf(ErrNothingToMigrate, oldKey.Line, "msc3861 is empty, so there is nothing to carry over")
	}
	for _, hidden := range c.files {
		if key, _ := hidden.get(keyExperimental, keyMSC3861); key != nil {
			counts, outer, _ := c.get(keyExperimental)
			return hidden.kindf(ErrNothingToMigrate, key.Line, "msc3861 has no effect here, as %s is replaced as a whole by %s: this Synapse does not delegate its logins, so there is nothing to migrate",
				keyExperimental, counts.place(outer.Line, hidden))
		}
	}
	return c.kindf(ErrNothingToMigrate, "has neither %s.%s nor %s: this Synapse does not delegate its logins, so there is nothing to migrate", keyExperimental, keyMSC3861, keyMAS)
}

// checkReplaced refuses to remove experimental_features from a file if that of another file would then take effect.
func (c *Config) checkReplaced(f *File) error {
	key, features := f.get(keyExperimental)
	if others := c.replaced(keyExperimental); len(features.Content) == 2 && len(others) > 0 {
		return f.errorf(key.Line, "without msc3861 nothing is left of %s here, and then that of %s would count; remove it there, or bring the two together, first",
			keyExperimental, strings.Join(others, " and "))
	}
	return nil
}

// carriedSecret returns the secret of the old block and the file that the new one names for it, if any.
func (f *File) carriedSecret(old *MSC3861, options Options) (secret, path string, err error) {
	secret, err = old.AdminToken()
	if err != nil {
		return "", "", err
	}
	if !IsBearer(secret) {
		return "", "", f.errorf(old.line, "the admin token has a blank, a line break or a character that is not ASCII, which an HTTP header cannot carry")
	}
	if options.SecretPath == "" {
		return secret, old.AdminTokenPath, nil
	}
	held, err := f.readSecret(options.SecretPath, old.line, "the new secret_path")
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", "", err
	case held != secret:
		return "", "", f.errorf(old.line, "%s holds another secret than the admin token of msc3861", options.SecretPath)
	}
	return secret, options.SecretPath, nil
}

func (f *File) notes(old *MSC3861, plan *plan, secretPath string) ([]string, error) {
	notes := []string{
		"Accounts and sessions of the service used so far are not in the new store: people must sign in again unless their accounts and sessions are imported.",
		"The service used so far must not be started against this Synapse again.",
	}
	if old.ClientID != "" {
		notes = append(notes, fmt.Sprintf("The client %s, which Synapse was in the service used so far, is no longer used and can be removed there.", old.ClientID))
	}
	if secretPath != "" && secretPath != old.AdminTokenPath {
		if _, err := f.readSecret(secretPath, 0, "secret_path"); errors.Is(err, fs.ErrNotExist) {
			notes = append(notes, fmt.Sprintf("%s does not exist yet: write the former admin token into it before Synapse starts.", secretPath))
		} else if err != nil {
			return nil, err
		}
	}
	if plan.comments > 0 {
		notes = append(notes, "Comments inside the removed lines go with them; the diff shows them.")
	}
	for _, name := range []string{"msc4108_enabled", "msc4108_delegation_endpoint"} {
		if key, value := f.get(keyExperimental, name); key != nil && truthy(value) {
			notes = append(notes, fmt.Sprintf("Line %d sets %s, with which Synapse 1.136 does not start after this change; 1.137 and later do.", key.Line, name))
		}
	}
	return notes, nil
}

// checkResult reads the new file again and compares: all settings but the two blocks must be the same
// as before, and the new block must say what was asked for, and count. It returns the configuration with
// the new file.
func (c *Config) checkResult(f *File, m *Migration) (*Config, error) {
	unsafe := func(why string) error {
		return f.errorf(0, "cannot be changed safely (%s); make the change by hand", why)
	}
	changed, err := Parse(f.name, m.New)
	if err != nil {
		return nil, unsafe("the result would not be valid YAML")
	}
	changed.Dir = f.Dir
	after := Merge(c.files...)
	after.files[slices.Index(after.files, f)] = changed
	mas := after.MAS()
	if mas == nil || mas.file != changed || !mas.Enabled || mas.Endpoint != m.endpoint || mas.SecretPath != m.SecretPath || mas.UsesSecretFile || mas.ForceHTTP2 {
		return nil, unsafe("the new block would not be read as meant")
	}
	if m.SecretPath == "" && mas.secret != m.Secret || m.SecretPath != "" && mas.HasSecret {
		return nil, unsafe("the secret would not be read as meant")
	}
	if after.MSC3861() != nil || !sameNode(withoutBlocks(f.root), withoutBlocks(changed.root)) {
		return nil, unsafe("another setting would change")
	}
	return after, nil
}

// withoutBlocks returns a copy of the top level without the two blocks and without an emptied experimental_features.
func withoutBlocks(root *yaml.Node) *yaml.Node {
	out := &yaml.Node{Kind: root.Kind, Tag: root.Tag, Anchor: root.Anchor}
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		switch stringOf(key) {
		case keyMAS:
			continue
		case keyExperimental:
			rest := &yaml.Node{Kind: value.Kind, Tag: value.Tag, Anchor: value.Anchor}
			for j := 0; j < len(value.Content); j += 2 {
				if stringOf(value.Content[j]) != keyMSC3861 {
					rest.Content = append(rest.Content, value.Content[j], value.Content[j+1])
				}
			}
			if len(rest.Content) == 0 {
				continue
			}
			value = rest
		}
		out.Content = append(out.Content, key, value)
	}
	return out
}

// sameNode compares two trees by what a reader makes of them; comments and positions do not count.
func sameNode(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Tag != b.Tag || a.Value != b.Value || a.Anchor != b.Anchor || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !sameNode(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

// indented returns the block as it stands in a file whose top level has the given indentation and line break.
func indented(block string, spaces int, lineBreak string) string {
	var b strings.Builder
	for line := range strings.Lines(block) {
		b.WriteString(strings.Repeat(" ", spaces) + strings.TrimSuffix(line, "\n") + lineBreak)
	}
	return b.String()
}

// countComments counts the lines from from to to (excluded) that hold a comment.
func countComments(f *File, from, to int) int {
	count := 0
	for n := from; n < to; n++ {
		if isComment(f.body(n)) || bytes.Contains(f.body(n), []byte(" #")) {
			count++
		}
	}
	return count
}
