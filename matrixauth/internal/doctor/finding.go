package doctor

import (
	"fmt"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/operate"
)

// Finding is the result of one check of the doctor. None of its texts holds a secret.
type Finding struct {
	// ID is for programs, and stays what it is: that of the check, such as "well-known", and behind a slash
	// what is wrong, such as "well-known/cors-doubled". docs/doctor.md lists all.
	ID string `json:"id"`
	// Check names what was looked at.
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	// What says in a sentence what was found; Where names the place, and Change what to write there.
	// The two are empty if all is well.
	What   string `json:"what"`
	Where  string `json:"where,omitempty"`
	Change string `json:"change,omitempty"`
	// Difference is what a finding of the comparison with Synapse is about; nil for any other check.
	Difference *operate.Difference `json:"difference,omitempty"`
}

// Well returns the finding of a check that found nothing wrong.
func Well(check, format string, args ...any) Finding {
	return Finding{ID: checkID(check), Check: check, OK: true, What: fmt.Sprintf(format, args...)}
}

// Wrong returns the finding of a check that found a fault, which is named by a word for programs.
func Wrong(check, fault, what, where, change string) Finding {
	return Finding{ID: checkID(check) + "/" + fault, Check: check, What: what, Where: where, Change: change}
}

// checkID returns the name of a check as programs have it.
func checkID(check string) string {
	return strings.NewReplacer(" ", "-", "'", "").Replace(check)
}
