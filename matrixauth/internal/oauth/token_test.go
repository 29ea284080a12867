package oauth

import (
	"maps"
	"slices"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestGrantTypes: the token endpoint has a row for every grant type that the metadata tells of and clients register
// for, and for no other (DISC-24).
func TestGrantTypes(t *testing.T) {
	if got, want := slices.Sorted(maps.Keys(grantTypes)), slices.Sorted(slices.Values(model.GrantTypeNames())); !slices.Equal(got, want) {
		t.Errorf("the token endpoint has %v, the catalogue %v", got, want)
	}
	for name, row := range grantTypes {
		if row.redeem == nil || len(row.params) == 0 {
			t.Errorf("%s: nothing is presented or redeemed", name)
		}
	}
}
