package synapseconfig

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
)

// TestSynapseReadsAsWe puts the table of texts, and texts that are made of them at random, to real Synapses:
// what Synapse refuses we refuse, and what we take has the same values there.
func TestSynapseReadsAsWe(t *testing.T) {
	var texts []string
	for _, tc := range loaderCases {
		texts = append(texts, tc.text)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 2500 {
		texts = append(texts, mangled(r))
	}
	for _, python := range interpreters(t) {
		t.Run(nameOf(python), func(t *testing.T) {
			var encoded [][]byte
			for _, text := range texts {
				encoded = append(encoded, []byte(text))
			}
			var theirs []any
			askSynapse(t, python, "values.py", encoded, &theirs)
			if len(theirs) != len(texts) {
				t.Fatalf("%d answers", len(theirs))
			}
			alike := 0
			for i, text := range texts {
				reason, refuses := theirs[i].(string)
				value, err := asSynapse([]byte(text))
				if i < len(loaderCases) {
					checkVerdict(t, i, refuses, reason)
				}
				switch {
				case errors.Is(err, errDeep):
				case refuses && err == nil:
					t.Errorf("%q\nis taken as %v, and Synapse says %s", text, value, reason)
				case err == nil && !sameJSON(value, theirs[i]):
					t.Errorf("%q\nis taken as %v, and by Synapse as %v", text, value, theirs[i])
				case err == nil:
					alike++
				}
			}
			// Else the texts are too broken to show anything.
			if alike < len(texts)/8 {
				t.Errorf("only %d of %d texts are taken by both", alike, len(texts))
			}
		})
	}
}

// checkVerdict compares the table with Synapse's word.
func checkVerdict(t *testing.T, i int, refuses bool, reason string) {
	t.Helper()
	if tc := loaderCases[i]; refuses != (tc.verdict == refused) {
		t.Errorf("%s: the table says %v, Synapse %q", tc.name, tc.verdict, reason)
	}
}

var pieces = []string{"\t", " ", ":", ": ", "-", "- ", "?", "? ", "#", " #", "'", "\"", "[", "]", "{", "}", ",", ", ", "&a", "*a", "!", "!!int ", "|", ">", "%", "@",
	"<<", "<<: ", "=", "~", "\n", "\n  ", "\r", "\ufeff", "\u2028", "...", "---", "0", "1", "_", "x", "yes", "\\", "\u0085", "é", ".", "2026-01-01"}

// mangled is a text of the table, or two, with some characters taken out or put in.
func mangled(r *rand.Rand) string {
	pick := func() string {
		for {
			if text := loaderCases[r.IntN(len(loaderCases))].text; len(text) < 200 {
				return text
			}
		}
	}
	text := pick()
	if r.IntN(2) == 0 {
		text += pick()
	}
	for range 1 + r.IntN(3) {
		at := r.IntN(len(text) + 1)
		if at < len(text) && r.IntN(3) == 0 {
			text = text[:at] + text[at+1:]
			continue
		}
		text = text[:at] + pieces[r.IntN(len(pieces))] + text[at:]
	}
	return text
}

// TestSynapseMergesAsWe puts a folder as Debian has it, and as people leave it, to real Synapses.
func TestSynapseMergesAsWe(t *testing.T) {
	folder := writeFiles(t, mergedFiles)
	paths := []string{filepath.Join(folder, "homeserver.yaml"), filepath.Join(folder, "conf.d")}
	c, err := Read(paths...)
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]any{}
	for _, f := range c.files {
		value, err := typed(f.root)
		if err != nil {
			t.Fatal(err)
		}
		for name := range value.(map[string]any) {
			// By the function that settings are judged by, name without its quotes and its type.
			_, _, setting := c.get(name[len(`"str `) : len(name)-1])
			if ours[name], err = typed(setting); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, python := range interpreters(t) {
		t.Run(nameOf(python), func(t *testing.T) {
			var theirs struct {
				Files  []string
				Values map[string]any
			}
			askSynapse(t, python, "merge.py", paths, &theirs)
			if !sameJSON(ours, theirs.Values) {
				t.Errorf("we read\n%v\nand Synapse\n%v", ours, theirs.Values)
			}
			// Synapse reads a file that is there under two names twice, and passes over some that we name as ignored.
			theirs.Files = slices.DeleteFunc(theirs.Files, func(path string) bool {
				return filepath.Base(path) == "30-linked.yaml" || slices.ContainsFunc(c.ignored, func(i Ignored) bool { return i.Path == path })
			})
			if !slices.Equal(c.Names(), theirs.Files) {
				t.Errorf("we read %q, and Synapse %q", c.Names(), theirs.Files)
			}
		})
	}
}
