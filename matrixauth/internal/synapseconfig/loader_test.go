package synapseconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestLoader holds what becomes of each text: whether we take it, and what we make of the value that counts.
// That Synapse does the same is TestSynapseReadsAsWe.
func TestLoader(t *testing.T) {
	names := map[string]bool{}
	for _, tc := range loaderCases {
		t.Run(tc.name, func(t *testing.T) {
			if names[tc.name] {
				t.Error("the name is there twice")
			}
			names[tc.name] = true
			f, err := Parse("homeserver.yaml", []byte(tc.text))
			switch tc.verdict {
			case ignored:
				if !errors.Is(err, ErrNoSettings) {
					t.Errorf("got %v", err)
				}
			case refused, odd:
				if err == nil || errors.Is(err, ErrNoSettings) {
					t.Fatalf("got %v", err)
				}
				checkError(t, err)
				if strings.Contains(err.Error(), "hunter") {
					t.Errorf("shows the secret: %v", err)
				}
			case taken:
				if err != nil {
					t.Fatal(err)
				}
				if _, value := f.get("v"); tc.value != "" {
					if got, err := typed(value); err != nil || fmt.Sprint(got) != tc.value {
						t.Errorf("v is %v, want %s (%v)", got, tc.value, err)
					}
				}
			}
		})
	}
}

var errDeep = errors.New("too deep")

// typed is a value as testdata/values.py writes that of Synapse, made by the functions that judge settings.
func typed(n *yaml.Node) (any, error) { return (&typer{left: 10_000}).value(n, 0) }

// typer is bounded, as a few lines of aliases can mean more than a memory holds.
type typer struct{ left int }

func (ty *typer) value(n *yaml.Node, depth int) (any, error) {
	if ty.left--; ty.left < 0 || depth > 40 {
		return nil, errDeep
	}
	n = deref(n)
	switch kind := kindOf(n); {
	case n.Kind == yaml.MappingNode:
		return ty.mapping(n, depth)
	case n.Kind == yaml.SequenceNode:
		list := []any{}
		for _, child := range n.Content {
			item, err := ty.value(child, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, item)
		}
		return list, nil
	case kind == kindNull:
		return nil, nil
	case kind == kindBool:
		return truthy(n), nil
	case kind == kindInt:
		if number, ok := intOf(n.Value); ok && len(number.Text(10)) <= 40 {
			return "int " + number.Text(10), nil
		}
		return "int", nil
	case kind == kindFloat:
		return "float", nil
	case kind == kindDate:
		return "date", nil
	case kind == kindString:
		return "str " + stringOf(n), nil
	case kind == kindDefault:
		return "str =", nil // as a key
	}
	return nil, fmt.Errorf("a scalar of no kind: %q", n.Value)
}

func (ty *typer) mapping(m *yaml.Node, depth int) (any, error) {
	all := map[string]any{}
	var walk func(from *yaml.Node, seen map[*yaml.Node]bool) error
	walk = func(from *yaml.Node, seen map[*yaml.Node]bool) error {
		if seen[from] {
			return nil
		}
		seen[from] = true
		for i := 0; i < len(from.Content); i += 2 {
			key, value := from.Content[i], from.Content[i+1]
			if isMerge(key) {
				for _, source := range sourcesOf(value) {
					if err := walk(deref(source), seen); err != nil {
						return err
					}
				}
				continue
			}
			name, err := keyName(key)
			if err != nil {
				return err
			}
			// Of equal keys the one that settings are judged by.
			if kindOf(key) == kindString {
				_, value = lookup(m, stringOf(key))
			}
			if all[name], err = ty.value(value, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return all, walk(m, map[*yaml.Node]bool{})
}

// keyName is a key as json.dumps writes it.
func keyName(key *yaml.Node) (string, error) {
	value, err := typed(key)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err = encoder.Encode(value)
	// Go escapes these for scripts.
	return strings.NewReplacer("\n", "", `\u2028`, "\u2028", `\u2029`, "\u2029").Replace(text.String()), err
}

// asSynapse is what Synapse would read from a text beside its two required settings, if we are right.
func asSynapse(data []byte) (any, error) {
	all := map[string]any{`"str server_name"`: "str example.test", `"str report_stats"`: false}
	f, err := Parse("homeserver.yaml", data)
	if errors.Is(err, ErrNoSettings) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	value, err := typed(f.root)
	if err != nil {
		return nil, err
	}
	for name, setting := range value.(map[string]any) {
		all[name] = setting
	}
	return all, nil
}

// sameJSON compares by JSON's own forms.
func sameJSON(a, b any) bool {
	left, err := json.Marshal(a)
	right, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(left, right)
}

// FuzzParse looks for texts that break the reading itself. What is taken has values of known kinds, and what
// is refused has a place.
func FuzzParse(f *testing.F) {
	for _, tc := range loaderCases {
		f.Add([]byte(tc.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("homeserver.yaml", data)
		if err != nil {
			checkError(t, err)
			return
		}
		if _, err := typed(file.root); err != nil && !errors.Is(err, errDeep) {
			t.Errorf("%q: %v", data, err)
		}
		file.Dir = "testdata/no-such-directory" // a path in the input must not lead out
		Merge(file, file).Conflicts()
	})
}
