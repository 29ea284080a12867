package synapseconfig

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// kind is the Python type that PyYAML's safe loader makes of a scalar.
type kind int

const (
	kindNull kind = iota
	kindBool
	kindInt
	kindFloat
	kindString
	kindDate
	kindMerge   // <<
	kindDefault // =
	kindOther   // mappings, lists
)

// The implicit resolvers of PyYAML (YAML 1.1), which differ from those of yaml.v3: yes, on and off are
// booleans, 010 is octal, 1:30 counts in sixties.
var (
	pyBool  = regexp.MustCompile(`^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$`)
	pyTrue  = regexp.MustCompile(`^(?i:yes|true|on)$`)
	pyNull  = regexp.MustCompile(`^(?:~|null|Null|NULL|)$`)
	pyInt   = regexp.MustCompile(`^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$`)
	pyFloat = regexp.MustCompile(`^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
	pyDate  = regexp.MustCompile(`^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?)$`)
	// The same with the parts of a date: year, month, day, hour, minute, second, hour and minute of the zone.
	pyDateParts = regexp.MustCompile(`^([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:(?:[Tt]|[ \t]+)([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+]([0-9]{1,2})(?::([0-9]{2}))?))?)?$`)
	// A boolean that is said to be one by a tag.
	pyTagged = regexp.MustCompile(`^(?i:yes|no|true|false|on|off)$`)
	// Prefix and separators aside, what is left of a number that is zero.
	pyZero = regexp.MustCompile(`^[-+]?(?:0[bx])?[0_]*(?:\.[0_]*)?(?:[eE][-+][0-9]+)?$`)
)

func deref(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// kindOf returns what Synapse sees; nil (no such key) is null.
func kindOf(n *yaml.Node) kind {
	n = deref(n)
	if n == nil {
		return kindNull
	}
	if n.Kind != yaml.ScalarNode {
		return kindOther
	}
	if n.Style&yaml.TaggedStyle != 0 {
		return kindOfTag(n.ShortTag())
	}
	if !isPlain(n) {
		return kindString
	}
	switch {
	case pyBool.MatchString(n.Value):
		return kindBool
	case pyFloat.MatchString(n.Value):
		return kindFloat
	case pyInt.MatchString(n.Value):
		return kindInt
	case pyNull.MatchString(n.Value):
		return kindNull
	case pyDate.MatchString(n.Value):
		return kindDate
	case n.Value == "<<":
		return kindMerge
	case n.Value == "=":
		return kindDefault
	}
	return kindString
}

// isPlain reports whether a scalar stands without quotes, | and >.
func isPlain(n *yaml.Node) bool {
	return n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
}

func kindOfTag(tag string) kind {
	switch tag {
	case "!!null":
		return kindNull
	case "!!bool":
		return kindBool
	case "!!int":
		return kindInt
	case "!!float":
		return kindFloat
	case "!!str":
		return kindString
	case "!!timestamp":
		return kindDate
	case "!!merge":
		return kindMerge
	}
	return kindOther
}

// pythonDigits is how many digits Python reads of an integer of base ten.
const pythonDigits = 4300

// intOf returns the number that PyYAML makes of an integer; ok is false if it makes none. 010 is octal and 1:30
// counts in sixties.
func intOf(text string) (n *big.Int, ok bool) {
	if !pyInt.MatchString(text) {
		return nil, false
	}
	digits := strings.ReplaceAll(text, "_", "")
	negative := strings.HasPrefix(digits, "-")
	digits = strings.TrimLeft(digits, "+-")
	n = new(big.Int)
	switch {
	case strings.HasPrefix(digits, "0b"):
		n, ok = n.SetString(digits[2:], 2)
	case strings.HasPrefix(digits, "0x"):
		n, ok = n.SetString(digits[2:], 16)
	case strings.HasPrefix(digits, "0"):
		n, ok = n.SetString(digits, 8)
	case strings.Contains(digits, ":"):
		for part := range strings.SplitSeq(digits, ":") {
			digit, good := new(big.Int).SetString(part, 10)
			if !good || len(part) > pythonDigits {
				return nil, false
			}
			n.Add(n.Mul(n, big.NewInt(60)), digit)
		}
		ok = true
	case len(digits) <= pythonDigits:
		n, ok = n.SetString(digits, 10)
	}
	if ok && negative {
		n.Neg(n)
	}
	return n, ok
}

// isFloat reports whether PyYAML makes a number of a text that a tag calls one.
func isFloat(text string) bool {
	if pyFloat.MatchString(text) {
		return true
	}
	_, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
	return err == nil && !strings.ContainsAny(text, "xXpP")
}

// truthy reports Python's bool() of the value, by which Synapse tests most settings.
func truthy(n *yaml.Node) bool {
	n = deref(n)
	switch kindOf(n) {
	case kindNull:
		return false
	case kindBool:
		return pyTrue.MatchString(n.Value)
	case kindInt:
		number, ok := intOf(n.Value)
		return ok && number.Sign() != 0
	case kindFloat:
		return !pyZero.MatchString(n.Value)
	case kindString:
		return n.Value != ""
	}
	return n.Kind == yaml.ScalarNode || len(n.Content) > 0
}

// isTrue reports whether a value is the boolean true, which is all that a strict field accepts.
func isTrue(n *yaml.Node) bool { return kindOf(n) == kindBool && truthy(n) }

// stringOf returns the text of a string, "" for every other kind.
func stringOf(n *yaml.Node) string {
	if kindOf(n) != kindString {
		return ""
	}
	return deref(n).Value
}

// stringIsTrue is strtobool(str(value)) of Synapse, by which enable_registration is read.
func stringIsTrue(n *yaml.Node) bool {
	if kindOf(n) == kindBool {
		return truthy(n)
	}
	if n = deref(n); n == nil || n.Kind != yaml.ScalarNode {
		return false
	}
	switch strings.ToLower(n.Value) {
	case "y", "yes", "t", "true", "on", "1":
		return true
	}
	return false
}

// isDuration reports a duration that Synapse takes as set: neither null nor zero.
func isDuration(n *yaml.Node) bool {
	if kindOf(n) != kindString {
		return truthy(n)
	}
	number, err := strconv.ParseInt(strings.TrimSpace(strings.TrimRight(deref(n).Value, "smhdwy")), 10, 64)
	return err != nil || number != 0
}

// lookup finds the pair of key in a mapping as PyYAML does: the last of equal keys wins, and a key of
// the mapping itself wins over one that << brings in.
func lookup(m *yaml.Node, key string) (keyNode, value *yaml.Node) {
	return lookupMerged(m, key, map[*yaml.Node]bool{})
}

// lookupMerged looks into each mapping once: an anchor can contain itself, and a few lines of nested merges would take
// forever.
func lookupMerged(m *yaml.Node, key string, seen map[*yaml.Node]bool) (keyNode, value *yaml.Node) {
	m = deref(m)
	if m == nil || m.Kind != yaml.MappingNode || seen[m] {
		return nil, nil
	}
	seen[m] = true
	for i := len(m.Content) - 2; i >= 0; i -= 2 {
		if stringOf(m.Content[i]) == key && !isMerge(m.Content[i]) {
			return m.Content[i], m.Content[i+1]
		}
	}
	for i := 0; i < len(m.Content); i += 2 {
		if !isMerge(m.Content[i]) {
			continue
		}
		sources := []*yaml.Node{m.Content[i+1]}
		if list := deref(m.Content[i+1]); list.Kind == yaml.SequenceNode {
			sources = list.Content
		}
		for _, source := range sources {
			if k, v := lookupMerged(source, key, seen); k != nil {
				return k, v
			}
		}
	}
	return nil, nil
}

func isMerge(key *yaml.Node) bool { return kindOf(key) == kindMerge }

// get is lookup through several mappings; the value is nil if one of them is missing.
func (f *File) get(path ...string) (keyNode, value *yaml.Node) {
	value = f.root
	for _, key := range path {
		keyNode, value = lookup(value, key)
	}
	return keyNode, value
}

func lineOf(n *yaml.Node) int {
	if n == nil {
		return 0
	}
	return n.Line
}
