package edge

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestOmissionsAreBounded: what is counted is bounded.
func TestOmissionsAreBounded(t *testing.T) {
	b := NewLines(time.Now)
	for i := range 10 * maxOmissions {
		b.omit(model.Owner{}, fmt.Sprint("network ", i))
	}
	if len(b.omitted) != maxOmissions+1 {
		t.Errorf("%d are counted by themselves", len(b.omitted))
	}
	total := 0
	for _, one := range b.omitted {
		total += one.requests
	}
	if total != 10*maxOmissions {
		t.Errorf("%d of %d are counted", total, 10*maxOmissions)
	}
}
