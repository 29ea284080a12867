package synapseconfig

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// conflict is a setting with which Synapse does not start under delegation. The list is that of
// synapse/config/mas.py, each entry tried on Synapse 1.136.0 and 1.157.1; 1.163.2 has the same checks.
type conflict struct {
	key    string // with dots between levels
	why    string
	change string
	bad    func(*yaml.Node) bool
}

func (c conflict) path() []string { return strings.Split(c.key, ".") }

func (c conflict) finding(path string, line int) Finding {
	return Finding{Path: path, Line: line, Key: c.key, Change: c.change, What: c.why + ", so Synapse does not start under delegation"}
}

const removeBlock = "remove it with all that is indented below it"

var conflicts = []conflict{
	{"password_config.enabled", "Synapse would check passwords itself", "enabled: false, or remove the line", truthy},
	{"enable_registration", "Synapse would register accounts itself", "enable_registration: false, or remove the line", stringIsTrue},
	{"disable_registration", "disable_registration: false switches registration on", "disable_registration: true, or remove the line",
		func(n *yaml.Node) bool { return !stringIsTrue(n) }},
	{"enable_registration_captcha", "the captcha belongs to Synapse's own registration", "enable_registration_captcha: false, or remove the line", truthy},
	{"user_consent", "consent is asked by Synapse's own login", removeBlock, func(n *yaml.Node) bool { return kindOf(n) != kindNull }},
	{"oidc_providers", "Synapse would log in at other providers itself", removeBlock, truthy},
	{"oidc_config", "Synapse would log in at another provider itself", removeBlock, enabledIn(false)},
	{"saml2_config", "Synapse would log in by SAML itself", removeBlock, isSAML},
	{"cas_config", "Synapse would log in by CAS itself", removeBlock, enabledIn(true)},
	{"jwt_config", "Synapse would log in by JWT itself", removeBlock, enabledIn(false)},
	{"password_providers", "a password provider checks passwords inside Synapse", removeBlock, truthy},
	{"ldap_config", "LDAP checks passwords inside Synapse", removeBlock, enabledIn(false)},
	{"login_via_existing_session.enabled", "Synapse would issue login tokens itself", "enabled: false, or remove the line", truthy},
	{"refresh_token_lifetime", "Synapse issues no refresh tokens any more", "remove the line", isDuration},
	{"nonrefreshable_access_token_lifetime", "Synapse issues no access tokens any more", "remove the line", isDuration},
	{"session_lifetime", "Synapse ends no sessions any more", "remove the line", isDuration},
	{"enable_3pid_changes", "Synapse would change email addresses and telephone numbers itself", "enable_3pid_changes: false, or remove the line", truthy},
}

// enabledIn tests a block that its own key enabled switches, with the given default.
func enabledIn(byDefault bool) func(*yaml.Node) bool {
	return func(block *yaml.Node) bool {
		if !truthy(block) {
			return false
		}
		key, enabled := lookup(block, "enabled")
		if key == nil {
			return byDefault
		}
		return truthy(enabled)
	}
}

func isSAML(block *yaml.Node) bool {
	_, sp := lookup(block, "sp_config")
	_, path := lookup(block, "config_path")
	return enabledIn(true)(block) && (truthy(sp) || truthy(path))
}

// Removal is a setting that must go, or be off, under delegation.
type Removal struct {
	Key string // with dots between levels
	Why string // a few plain words
}

// KeysToRemove lists the settings with which Synapse does not start under delegation (SYN-16).
func KeysToRemove() []Removal {
	removals := make([]Removal, 0, len(conflicts)+2)
	for _, c := range conflicts {
		removals = append(removals, Removal{c.key, c.why})
	}
	return append(removals,
		Removal{"modules", "only those that check passwords: they stop Synapse while it starts"},
		Removal{keyExperimental + "." + keyMSC3861, "the experimental form of the same delegation; Synapse 1.157 removed it"})
}
