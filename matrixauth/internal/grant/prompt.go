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
	// registers reports whether the metadata tells of it only where people can make accounts.
	registers bool
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
	// Where nobody can make an account, who asks for it is shown the way to one that is there (CREATE-1).
	{value: "create", registers: true, note: func(r *model.Asked) { r.Create = true }},
}

// PromptValues returns the values of prompt that the metadata tells of, where people can make accounts or not.
func PromptValues(registers bool) (values []string) {
	for _, p := range prompts {
		if registers || !p.registers {
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
