package caddymodule

import (
	"reflect"
	"strings"
)

// option is a field of Settings as Caddyfiles and JSON know it. Its type says what it takes:
//
//	string           one value
//	[]string         one value or more
//	bool             nothing: being there is all
//	caddy.Duration   a duration above zero
//	argumentsReader  what the type itself says
//	struct           a block of options, behind a value if one of its fields is the argument
//	[]struct         such a block behind a name, as often as one likes
//
// The tag caddyfile says what a type cannot:
//
//	argument    what stands before a block, and is no option in it; each []struct has one, a name
//	unnamed     a struct whose options are told in messages without its name
//	lines       a []string that may stand in several lines
//	colour      a string that begins a comment if it is written as stylesheets have it
//	alias=NAME  another name that is understood
type option struct {
	reflect.StructField
	// name is that of the option within its block.
	name, tag string
}

// argumentsReader is a value that reads the arguments of its option. It returns what is wrong with them, to
// be written behind the option's name, or nothing.
type argumentsReader interface {
	readArguments(args []string) (problem string)
}

// optionOf returns the option that a field is.
func optionOf(f reflect.StructField) option {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return option{f, name, f.Tag.Get("caddyfile")}
}

// optionsOf returns the options of a block, in the order of its fields.
func optionsOf(block reflect.Type) (all []option) {
	for f := range block.Fields() {
		if o := optionOf(f); o.tag != "argument" {
			all = append(all, o)
		}
	}
	return all
}

// findOption finds an option of a block by any of its names.
func findOption(block reflect.Type, name string) (option, bool) {
	for _, o := range optionsOf(block) {
		if o.name == name || o.tag == "alias="+name {
			return o, true
		}
	}
	return option{}, false
}

// known lists the options of a block for people.
func known(block reflect.Type) string {
	var names []string
	for _, o := range optionsOf(block) {
		names = append(names, o.name)
	}
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// below returns how messages name an option of a block, of which they say prefix.
func (o option) below(prefix string) string { return strings.TrimSpace(prefix + " " + o.name) }

// prefix returns what messages say before the names of a block's options.
func (o option) prefix(name string) string {
	if o.tag == "unnamed" {
		return ""
	}
	return name
}

// isBlock reports whether an option is a block of options.
func (o option) isBlock() bool {
	return o.Type.Kind() == reflect.Struct && !reflect.PointerTo(o.Type).Implements(reflect.TypeFor[argumentsReader]())
}

// isList reports whether an option is a block with a name before it, which may stand several times.
func (o option) isList() bool {
	return o.Type.Kind() == reflect.Slice && o.Type.Elem().Kind() == reflect.Struct
}

// argument returns the name that stands before a block; the zero Value if the block has none.
func argument(block reflect.Value) reflect.Value {
	for f := range block.Type().Fields() {
		if optionOf(f).tag == "argument" {
			return block.FieldByIndex(f.Index)
		}
	}
	return reflect.Value{}
}

// eachText calls visit with every text of a block and the name of its option. What visit changes, it changes
// in a copy of the slices, so that settings that were copied stay as they are.
func eachText(block reflect.Value, prefix string, visit func(option string, text *string)) {
	for _, o := range optionsOf(block.Type()) {
		name, value := o.below(prefix), block.FieldByIndex(o.Index)
		switch {
		case o.isBlock():
			if before := argument(value); before.IsValid() {
				visitText(before, name, visit)
			}
			eachText(value, o.prefix(name), visit)
		case value.Kind() == reflect.String:
			visitText(value, name, visit)
		case value.Kind() == reflect.Slice:
			value.Set(cloned(value))
			for i := range value.Len() {
				eachElement(value.Index(i), name, visit)
			}
		}
	}
}

// eachElement is eachText for what is in a slice.
func eachElement(element reflect.Value, name string, visit func(option string, text *string)) {
	if element.Kind() == reflect.String {
		visitText(element, name, visit)
		return
	}
	id := argument(element)
	prefix := name + " " + id.String()
	visitText(id, prefix, visit)
	eachText(element, prefix, visit)
}

func visitText(value reflect.Value, name string, visit func(option string, text *string)) {
	text := value.String()
	visit(name, &text)
	value.SetString(text)
}

func cloned(slice reflect.Value) reflect.Value {
	if slice.IsNil() {
		return slice
	}
	return reflect.AppendSlice(reflect.MakeSlice(slice.Type(), 0, slice.Len()), slice)
}

// mapTexts returns the settings with every text replaced by what replace makes of it.
func (s Settings) mapTexts(replace func(option, text string) string) Settings {
	eachText(reflect.ValueOf(&s).Elem(), "", func(option string, text *string) { *text = replace(option, *text) })
	return s
}
