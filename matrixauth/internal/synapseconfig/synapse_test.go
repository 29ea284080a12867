package synapseconfig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startsAnyway are cases that are found although Synapse's loader takes them: they leave Synapse
// without delegation or without a secret that works, fail only later in the start (modules), or fail
// only in some versions.
var startsAnyway = map[string]bool{
	"modules: [{module: ldap_auth_provider.LdapAuthProviderModule, config: {}}]": true,
	"{enabled: false, secret: shared}":                                           true,
	"{secret: shared}":                                                           true,
	"{enabled: true}":                                                            true, // 1.136 starts without a secret
	"{enabled: true, secret: null}":                                              true,
	"{enabled: true, secret: 'two words'}":                                       true,
	"{enabled: true, secret: shared, force_http2: 1}":                            true, // unknown before 1.151
	"{enabled: true, secret: shared, endpoint: null}":                            true,
	"{enabled: true, secret: shared, secret_file: /x}":                           true,
	"{enabled: true, secret_file: /x}":                                           true,
	"{enabled: true, secret_path: empty}":                                        true,
	"{enabled: true, secret_path: two_words}":                                    true,
	`{enabled: true, secret: shared, endpoint: " http://a/"}`:                    true, // 1.136 takes it
	`{enabled: true, secret: shared, endpoint: "http://a/ "}`:                    true, // 1.136 takes it
	`{enabled: true, secret: shared, endpoint: "http://256.1.1.1/"}`:             true, // 1.136 takes it
	`{enabled: true, secret: shared, endpoint: "http://%61/"}`:                   true, // 1.163 takes it
	`{enabled: true, secret: shared, endpoint: "http://a:/"}`:                    true, // 1.163 takes it
	`{enabled: true, secret: shared, endpoint: "http://-a-/"}`:                   true, // 1.163 takes it
	`{enabled: true, secret: shared, endpoint: "http://a..b/"}`:                  true, // 1.163 takes it
	"": true,
}

// interpreters are those of Python that have matrix-synapse (and authlib). SYNAPSE_PYTHON lists them,
// separated as in PATH.
func interpreters(t *testing.T) []string {
	t.Helper()
	all := filepath.SplitList(os.Getenv("SYNAPSE_PYTHON"))
	if len(all) == 0 {
		t.Skip("SYNAPSE_PYTHON names no interpreter with Synapse")
	}
	return all
}

// nameOf is the folder of an interpreter, which names its Synapse.
func nameOf(python string) string { return filepath.Base(filepath.Dir(filepath.Dir(python))) }

// TestSynapseAgrees puts every case of the tables of settings to real Synapses.
func TestSynapseAgrees(t *testing.T) {
	var names, texts []string
	var found []bool
	add := func(name, text, want string) {
		names, texts, found = append(names, name), append(texts, text), append(found, want != "")
	}
	for _, tc := range conflictCases {
		add(tc.text, goodBlock+tc.text+"\n", tc.want)
	}
	for _, tc := range blockCases {
		add(tc.text, keyMAS+": "+tc.text+"\n", tc.want)
	}
	for _, tc := range versionCases {
		startsAnyway[tc.text] = true
		add(tc.text, tc.text, tc.key)
	}
	// What Delegate makes of every case is one with which Synapse starts.
	for i, tc := range conflictCases {
		if all, err := parse(t, "server_name: example.test\n"+tc.text+"\n").Delegate(delegateTo); err == nil {
			add(fmt.Sprintf("delegated %d: %s", i, tc.text), string(all[0].New), "")
		}
	}
	wants, err := filepath.Glob("testdata/migrate/*.want")
	if err != nil || len(wants) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, name := range wants {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		// The loader of 1.136 refuses msc4108 beside the new block; that is a finding of its own.
		add(name, strings.ReplaceAll(string(data), "msc4108_enabled: true", "msc4108_enabled: false"), "")
	}
	for _, python := range interpreters(t) {
		t.Run(nameOf(python), func(t *testing.T) {
			skipped := 0
			for i, answer := range loadBySynapse(t, python, texts) {
				if answer == nil {
					skipped++
					continue
				}
				refusal := *answer
				if refusal != "" && !found[i] {
					t.Errorf("%s\nis not found, but Synapse says %s", names[i], refusal)
				}
				if refusal == "" && found[i] && !startsAnyway[names[i]] {
					t.Errorf("%s\nis found, but Synapse takes it", names[i])
				}
			}
			if skipped > len(texts)/10 {
				t.Errorf("%d of %d cases were not looked at", skipped, len(texts))
			}
		})
	}
}

func loadBySynapse(t *testing.T, python string, texts []string) []*string {
	t.Helper()
	var answers []*string
	askSynapse(t, python, "load.py", texts, &answers)
	if len(answers) != len(texts) {
		t.Fatalf("%d answers", len(answers))
	}
	return answers
}

// askSynapse runs a script of testdata with an interpreter that has Synapse.
func askSynapse(t *testing.T, python, script string, question, answer any) {
	t.Helper()
	input, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, python, "-X", "utf8", script)
	command.Dir = "testdata"
	command.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	if err := json.Unmarshal(output, answer); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
}
