package model

import (
	"slices"
	"testing"
)

// TestGrantTypeCatalogue holds what no row may be without.
func TestGrantTypeCatalogue(t *testing.T) {
	names := GrantTypeNames()
	for i, name := range names {
		if g, ok := FindGrantType(name); !ok || g.Name != name || slices.Contains(names[:i], name) {
			t.Errorf("%s is found as %+v", name, g)
		}
	}
	if _, ok := FindGrantType("password"); ok {
		t.Error("the grant type password is there")
	}
	for _, name := range DefaultGrantTypes {
		if !slices.Contains(names, name) {
			t.Errorf("the default %s is not there", name)
		}
	}
	for _, c := range []struct{ grantTypes, want []string }{
		{names, []string{ResponseCode}}, {[]string{GrantRefresh}, []string{}}, {nil, []string{}}, {[]string{GrantCode, GrantCode}, []string{ResponseCode}},
	} {
		if got := ResponseTypes(c.grantTypes); got == nil || !slices.Equal(got, c.want) {
			t.Errorf("%v need %v", c.grantTypes, got)
		}
	}
}

func TestOneOf(t *testing.T) {
	for _, c := range []struct {
		values []string
		want   string
	}{{nil, ""}, {[]string{"a"}, "a"}, {[]string{"a", "b"}, "a or b"}, {[]string{"a", "b", "c"}, "a, b or c"}} {
		if got := OneOf(c.values); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
