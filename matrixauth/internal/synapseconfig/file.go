package synapseconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// maxSecretSize bounds, in bytes, a file that holds a secret.
const maxSecretSize = 64 << 10

// File is a parsed homeserver.yaml. It never changes after Parse; only Dir may be set, before its methods are used.
type File struct {
	// Dir is the directory that Synapse runs in. Synapse opens relative paths (secret_path,
	// admin_token_path) from its working directory, not from that of the file. Empty means the
	// working directory of this process.
	Dir string

	name  string
	raw   []byte // as on disk
	text  []byte // raw without a byte order mark: what node positions count in
	lines []span
	root  *yaml.Node // a mapping
}

// String names the file. It keeps the content, which holds secrets, out of logs.
func (f *File) String() string { return f.name }

// GoString is String: it keeps the content out of %#v.
func (f *File) GoString() string { return f.name }

// Name returns the name that was given to Parse, or the path that Read found.
func (f *File) Name() string { return f.name }

// Parse parses data; name stands for the path in errors. All errors are *Error. A file that Synapse
// itself would not load (several documents, no mapping at the top) is an error.
func Parse(name string, data []byte) (*File, error) {
	f := &File{name: name, raw: bytes.Clone(data)}
	if len(data) > bound.SynapseFile {
		return nil, f.errorf(0, "has more than %d bytes, too large for a homeserver.yaml", bound.SynapseFile)
	}
	f.text = bytes.TrimPrefix(f.raw, []byte("\ufeff"))
	f.lines = splitLines(f.text)
	if bad := invalidUTF8(f.text, f.lines); bad > 0 {
		return nil, f.errorf(bad, "is not UTF-8 text")
	}
	if err := f.checkCharacters(); err != nil {
		return nil, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(f.text))
	var document, second yaml.Node
	if err := decoder.Decode(&document); err != nil {
		return nil, f.yamlError(err)
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, f.yamlError(err)
		}
		return nil, f.errorf(second.Line, "a second YAML document starts here; Synapse reads files of one document only")
	}
	if document.Kind != yaml.DocumentNode || len(document.Content) != 1 {
		return nil, f.kindf(ErrNoSettings, 0, "holds no settings")
	}
	f.root = document.Content[0]
	if err := f.checkAsSynapse(); err != nil {
		return nil, err
	}
	if f.root.Kind != yaml.MappingNode {
		return nil, f.kindf(ErrNoSettings, f.root.Line, "is not a mapping of settings at the top level, so Synapse ignores it")
	}
	return f, nil
}

var yamlLine = regexp.MustCompile(`^line (\d+): `)

// yamlError gives the parser's complaint our shape. Its texts are constants but for the name of an
// unknown anchor, which can be a secret that begins with * and lacks quotes.
func (f *File) yamlError(err error) *Error {
	if errors.Is(err, io.EOF) {
		return f.kindf(ErrNoSettings, 0, "holds no settings")
	}
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if name, found := strings.CutPrefix(text, "unknown anchor '"); found {
		name = strings.TrimSuffix(name, "' referenced")
		return f.errorf(f.lineOf("*"+name), "a value begins with * but is not in quotes, or names an anchor that does not exist")
	}
	line := 0
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1]) // digits by the pattern; an overflow leaves the largest int
		text = strings.TrimPrefix(text, m[0])
	}
	return f.errorf(line, "is not valid YAML: %s", text)
}

// lineOf returns the first line that contains text, 0 if none does.
func (f *File) lineOf(text string) int {
	for i, line := range f.lines {
		if bytes.Contains(f.text[line.start:line.end], []byte(text)) {
			return i + 1
		}
	}
	return 0
}

func invalidUTF8(text []byte, lines []span) int {
	if utf8.Valid(text) {
		return 0
	}
	for i, line := range lines {
		if !utf8.Valid(text[line.start:line.end]) {
			return i + 1
		}
	}
	return 1
}

func readBounded(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	// Opening a named pipe would wait for a writer for ever.
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return data, nil
}
