package matrixauth

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// permissive are the licences that may be linked, by words of their texts. Each asks for no more than that its text
// goes along.
var permissive = map[string]*regexp.Regexp{
	"Apache-2.0": regexp.MustCompile(`Apache License Version 2\.0`),
	"MIT":        regexp.MustCompile(`Permission is hereby granted, free of charge, to any person obtaining a copy`),
	"ISC":        regexp.MustCompile(`Permission to use, copy, modify, and(/or)? distribute this software for any purpose`),
	"BSD":        regexp.MustCompile(`Redistribution and use in source and binary forms, with or without modification, are permitted`),
	"CC0":        regexp.MustCompile(`CC0 1\.0 Universal`),
}

// copyleft are words of licences that ask for more.
var copyleft = regexp.MustCompile(`(?i)GNU (Affero |Lesser )?General Public License|Mozilla Public License|Eclipse Public License|Business Source License|Server Side Public License`)

// TestLicences: all that a build by xcaddy.sh links is under a permissive licence, ours included.
func TestLicences(t *testing.T) {
	// xcaddy's tags: without them Caddy would link drivers for databases that it does not need, one under the MPL.
	out, err := exec.Command("go", "list", "-tags", "nobadger,nomysql,nopgx", "-deps", "-f", "{{with .Module}}{{.Path}}\t{{.Dir}}{{end}}", "../caddymodule").Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if path, dir, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			modules[path] = dir
		}
	}
	if len(modules) < 50 || modules[strings.TrimSuffix(module, "/")] == "" {
		t.Fatalf("only %d modules were found", len(modules))
	}
	for path, dir := range modules {
		if found := licenceIn(t, dir); found == "" {
			t.Errorf("%s (%s) has no permissive licence", path, dir)
		}
	}
}

// TestLicencesOfLists: what is carried as data is under a permissive licence too, whose text goes along.
func TestLicencesOfLists(t *testing.T) {
	const dir = "internal/password/lists"
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	texts := regexp.MustCompile("`(LICENSE-[a-z-]+\\.txt)`").FindAllStringSubmatch(string(readme), -1)
	if len(texts) != 2 || licenceIn(t, dir) == "" {
		t.Errorf("%d sources are named, of licences %q", len(texts), licenceIn(t, dir))
	}
	for _, text := range texts {
		if _, err := os.Stat(filepath.Join(dir, text[1])); err != nil {
			t.Error(err)
		}
	}
}

// licenceIn names the licence of a module; empty if it has none that may be linked. Of several texts each must be
// permissive, as they may be for parts of the module.
func licenceIn(t *testing.T, dir string) (found string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !regexp.MustCompile(`(?i)^(licen[cs]e|copying)`).MatchString(entry.Name()) || entry.IsDir() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(strings.Fields(strings.ReplaceAll(string(data), "> ", " ")), " ")
		name := ""
		for candidate, words := range permissive {
			if words.MatchString(text) {
				name = candidate
			}
		}
		if name == "" || copyleft.MatchString(text) {
			t.Logf("%s has a text that is not known", filepath.Join(dir, entry.Name()))
			return ""
		}
		found = name
	}
	return found
}
