package synapseconfig

import (
	"bytes"
	"context"
	"encoding/json"
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
	"": true,
}

// TestSynapseAgrees puts every case of the tables to real Synapses. SYNAPSE_PYTHON lists Python
// interpreters that have matrix-synapse (and authlib), separated as in PATH.
func TestSynapseAgrees(t *testing.T) {
	interpreters := filepath.SplitList(os.Getenv("SYNAPSE_PYTHON"))
	if len(interpreters) == 0 {
		t.Skip("SYNAPSE_PYTHON names no interpreter with Synapse")
	}
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
	for _, python := range interpreters {
		t.Run(filepath.Base(filepath.Dir(filepath.Dir(python))), func(t *testing.T) {
			for i, refusal := range loadBySynapse(t, python, texts) {
				if refusal != "" && !found[i] {
					t.Errorf("%s\nis not found, but Synapse says %s", names[i], refusal)
				}
				if refusal == "" && found[i] && !startsAnyway[names[i]] {
					t.Errorf("%s\nis found, but Synapse takes it", names[i])
				}
			}
		})
	}
}

func loadBySynapse(t *testing.T, python string, texts []string) []string {
	t.Helper()
	input, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, python, "load.py")
	command.Dir = "testdata"
	command.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	var answers []string
	if err := json.Unmarshal(output, &answers); err != nil || len(answers) != len(texts) {
		t.Fatalf("%d answers, %v\n%s", len(answers), err, output)
	}
	return answers
}
