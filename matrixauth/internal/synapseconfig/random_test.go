package synapseconfig

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// chunk is a piece of a random homeserver.yaml.
type chunk struct {
	lines   []string
	removed []bool // which lines the migration takes out
}

func keep(lines ...string) chunk { return chunk{lines, make([]bool, len(lines))} }

var topChunks = [][]string{
	{"report_stats: false"},
	{"# a comment", ""},
	{"", "## heading ##", ""},
	{"listeners:", "- port: 8008", "  type: http # trailing", "  resources:", "  - names: [client]"},
	{"database: {name: sqlite3,", "  args: {database: /x}}"},
	{"log: |", "  # text, no comment", "  experimental_features:", "", "  end"},
	{"quoted: \"first", "", "  second: # text\""},
	{"macaroon_secret_key: 'it''s'", "# form_secret: x"},
	{"auto_join_rooms:", "  - \"#a:b\"", "  # in between", "  - \"#c:d\""},
	{"rc: &rc {per_second: 1}", "rc_use: *rc"},
	{"plain: several", "  words # end"},
	{"empty:", "   # deep comment"},
}

var featureChunks = [][]string{
	{"msc1: true"}, {"# off: true"}, {"msc2: {a: [1, 2]}", ""}, {"msc3:", "  deep:", "    # inside", "    deeper: x"},
}

// randomFile builds a file that can be migrated. Its lines that must go are marked.
func randomFile(r *rand.Rand) (chunks []chunk, lineBreak string) {
	used := map[int]bool{}
	for range r.IntN(6) {
		if i := r.IntN(len(topChunks)); !used[i] {
			used[i] = true
			chunks = append(chunks, keep(topChunks[i]...))
		}
	}
	at := r.IntN(len(chunks) + 1)
	chunks = slices.Insert(chunks, at, randomFeatures(r))
	if r.IntN(4) == 0 {
		chunks = slices.Insert(chunks, 0, keep("---"))
	}
	if r.IntN(4) == 0 {
		chunks = append(chunks, keep("...", "# after"))
	}
	return chunks, []string{"\n", "\r\n"}[r.IntN(2)]
}

func randomFeatures(r *rand.Rand) chunk {
	pad := strings.Repeat(" ", 1+r.IntN(4))
	order := r.Perm(len(featureChunks))[:r.IntN(len(featureChunks)+1)]
	place := r.IntN(len(order) + 1)
	settings := false
	var c chunk
	add := func(removed bool, lines ...string) {
		for _, line := range lines {
			if line != "" {
				line = pad + line
			}
			c.lines, c.removed = append(c.lines, line), append(c.removed, removed)
		}
	}
	for i := 0; i <= len(order); i++ {
		if i == place {
			add(true, randomOldBlock(r)...)
		}
		if i < len(order) {
			settings = settings || !strings.HasPrefix(featureChunks[order[i]][0], "#")
			add(false, featureChunks[order[i]]...)
		}
	}
	return chunk{append([]string{"experimental_features:"}, c.lines...), append([]bool{!settings}, c.removed...)}
}

func randomOldBlock(r *rand.Rand) []string {
	if r.IntN(4) == 0 {
		return []string{"msc3861: {enabled: true, client_id: c,", "  admin_token: token-1, client_secret: client-1}"}
	}
	fields := []string{"  enabled: true", "  client_id: c", "  admin_token: 'token-1' # the token", "  client_secret: client-1", "  issuer: https://a/", "  # inside"}
	r.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	return append([]string{"msc3861:"}, fields...)
}

// TestMigrateTouchesNoOtherLine: of a random file, the result without the new block is the old file
// without the old block, byte for byte, but for the blank lines around the new block.
func TestMigrateTouchesNoOtherLine(t *testing.T) {
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 1))
		chunks, eol := randomFile(r)
		var old, kept strings.Builder
		for _, c := range chunks {
			for i, line := range c.lines {
				old.WriteString(line + eol)
				if !c.removed[i] {
					kept.WriteString(line + eol)
				}
			}
		}
		text := old.String()
		want := []string{kept.String()}
		if r.IntN(4) == 0 {
			text = strings.TrimSuffix(text, eol)
			want = append(want, strings.TrimSuffix(want[0], eol))
		}
		f, err := Parse("homeserver.yaml", []byte(text))
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text)
		}
		m, err := Merge(f).MigrateMSC3861(Options{Endpoint: testEndpoint})
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text)
		}
		block := strings.ReplaceAll(Block(testEndpoint, "token-1", ""), "\n", eol)
		before, after, found := strings.Cut(string(m.New), block)
		if !found {
			t.Fatalf("seed %d: no block in\n%s", seed, m.New)
		}
		if !slices.ContainsFunc(rejoined(before, after, eol), func(got string) bool { return slices.Contains(want, got) }) {
			t.Fatalf("seed %d: old\n%s\nnew\n%s\nshould keep\n%s", seed, text, m.New, kept.String())
		}
		if strings.Contains(m.Diff, "token-1") || strings.Contains(m.Diff, "client-1") {
			t.Fatalf("seed %d: the diff shows a secret:\n%s", seed, m.Diff)
		}
	}
}

// rejoined are the texts around the block, with or without a blank line that was put before and after it.
func rejoined(before, after, eol string) []string {
	texts := []string{before + after}
	if strings.HasSuffix(before, eol+eol) {
		texts = append(texts, strings.TrimSuffix(before, eol)+after)
	}
	if strings.HasPrefix(after, eol) {
		for _, text := range slices.Clone(texts) {
			texts = append(texts, strings.TrimSuffix(text, after)+strings.TrimPrefix(after, eol))
		}
	}
	return texts
}

func FuzzMigrate(f *testing.F) {
	for seed := range uint64(40) {
		chunks, eol := randomFile(rand.New(rand.NewPCG(seed, 2)))
		var text strings.Builder
		for _, c := range chunks {
			text.WriteString(strings.Join(c.lines, eol) + eol)
		}
		f.Add([]byte(text.String()))
	}
	for _, tc := range conflictCases {
		f.Add([]byte(goodBlock + tc.text))
	}
	f.Add([]byte("a: &a {<<: *a}\nexperimental_features: {<<: *a}\n"))
	f.Add([]byte("a: &a {x: 1}\nb: &b {<<: [*a, *a]}\n<<: [*a, *b, *b]\nserver_name: |2\n    x\n"))
	f.Add([]byte("\ufeffexperimental_features:\u2028  msc3861: {enabled: true, admin_token: token-1}\u0085"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("homeserver.yaml", data)
		if err != nil {
			checkError(t, err)
			return
		}
		// A path in the input must not lead out of an empty directory.
		file.Dir = "testdata/no-such-directory"
		config := Merge(file)
		config.Conflicts()
		m, err := config.MigrateMSC3861(Options{Endpoint: testEndpoint})
		if err != nil {
			checkError(t, err)
			return
		}
		if len(m.Secret) >= 8 && strings.Contains(m.Diff, m.Secret) {
			t.Errorf("the diff shows the secret %q:\n%s", m.Secret, m.Diff)
		}
		again, err := Parse("homeserver.yaml", m.New)
		if err != nil {
			t.Fatalf("the result does not parse: %v\n%s", err, m.New)
		}
		if _, err := Merge(again).MigrateMSC3861(Options{Endpoint: testEndpoint}); !errors.Is(err, ErrAlreadyMigrated) {
			t.Errorf("a second run: %v", err)
		}
		if bytes.Contains([]byte(fmt.Sprintf("%+v %#v", m, *m)), m.New) {
			t.Error("printing shows the new file")
		}
	})
}

func checkError(t *testing.T, err error) {
	t.Helper()
	var problem *Error
	if !errors.As(err, &problem) || problem.Reason == "" || problem.Path != "homeserver.yaml" {
		t.Errorf("no place in %#v", err)
	}
}
