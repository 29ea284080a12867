package grant

import (
	"slices"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// promptValue is a row of the values of the parameter prompt (OpenID Connect Core section 3.1.2.1).
type promptValue struct {
	value string
	// alone reports whether no other value may stand beside it.
	alone bool
	// unlisted reports whether the metadata is silent about it: clients are led to what it asks for by other ways.
	unlisted bool
	// note keeps that it was asked for; nil for a value that decides how the request is answered, and is not kept.
	note func(*model.Asked)
}

// promptNone asks for an answer without any page (OIDC-10).
const promptNone = "none"

// prompts are the values that we know, in the order of the metadata. Others are ignored (OIDC-12).
var prompts = []promptValue{
	{value: promptNone, alone: true},
	{value: "login", note: func(r *model.Asked) { r.Login = true }},
	{value: "consent", note: func(r *model.Asked) { r.Consent = true }},
	{value: "select_account", note: func(r *model.Asked) { r.Select = true }},
	// There is no registration of accounts to lead to: who asks for it is shown the way to an account that is there.
	{value: "create", unlisted: true, note: func(r *model.Asked) { r.Create = true }},
}

// PromptValues returns the values of prompt that the metadata tells of.
func PromptValues() (values []string) {
	for _, p := range prompts {
		if !p.unlisted {
			values = append(values, p.value)
		}
	}
	return values
}

// parsePrompt notes the values of prompt.
func parsePrompt(text string, r *model.Asked) error {
	values := strings.Fields(text)
	for _, p := range prompts {
		switch {
		case !slices.Contains(values, p.value):
		case p.alone && len(values) > 1:
			return invalidRequest("prompt=" + p.value + " goes with no other value")
		case p.note != nil:
			p.note(r)
		}
	}
	return nil
}
