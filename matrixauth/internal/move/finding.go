package move

import (
	"cmp"
	"slices"
)

// Weight says what a finding means for a run.
type Weight string

// The weights.
const (
	// Stops is something that has to be mended first.
	Stops Weight = "error"
	// Warns is something that the owner has to accept by name.
	Warns Weight = "warning"
	// Left is something that cannot come, and is counted and left behind.
	Left Weight = "left"
	// Says is something worth knowing.
	Says Weight = "note"
)

// Code names a kind of finding for good: scripts and --accept have it.
type Code string

// Kind is what there is to say about a code. Its texts are sentences without a full stop.
type Kind struct {
	Code   Code   `json:"code"`
	Weight Weight `json:"weight"`
	// What says what was found, and Change what to do.
	What   string `json:"what"`
	Change string `json:"change"`
}

// Finding is a kind with how often it was found, and examples. Examples never hold a secret.
type Finding struct {
	Kind
	Count    int64    `json:"count"`
	Examples []string `json:"examples,omitempty"`
}

// mostExamples is how many examples a finding keeps.
const mostExamples = 10

// Findings collects findings. Its zero value is ready. It is for one goroutine.
type Findings struct {
	byCode map[Code]*Finding
}

// Note counts something that was found. An example is a name or an id, never a secret; empty for none.
func (f *Findings) Note(kind Kind, example string) { f.NoteMany(kind, 1, example) }

// NoteMany is Note for n at once.
func (f *Findings) NoteMany(kind Kind, n int64, examples ...string) {
	if f.byCode == nil {
		f.byCode = map[Code]*Finding{}
	}
	found := f.byCode[kind.Code]
	if found == nil {
		found = &Finding{Kind: kind}
		f.byCode[kind.Code] = found
	}
	found.Count += n
	for _, example := range examples {
		if example != "" && len(found.Examples) < mostExamples {
			found.Examples = append(found.Examples, example)
		}
	}
}

// All returns what was found, what stops first, and otherwise in the order of the codes.
func (f *Findings) All() []Finding {
	order := []Weight{Stops, Warns, Left, Says}
	all := make([]Finding, 0, len(f.byCode))
	for _, found := range f.byCode {
		all = append(all, *found)
	}
	slices.SortFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Weight), slices.Index(order, b.Weight)), cmp.Compare(a.Code, b.Code))
	})
	return all
}
