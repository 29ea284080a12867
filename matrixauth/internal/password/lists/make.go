//go:build ignore

// Make writes common.bin from the lists that README.md names: JSON arrays (.json) and files with one password a line.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"

	"crypto/sha256"

	"golang.org/x/text/unicode/norm"
)

func main() {
	log.SetFlags(0)
	seen := map[string]bool{}
	for _, path := range os.Args[1:] {
		data, err := os.ReadFile(path)
		if err != nil {
			log.Fatal(err)
		}
		words := strings.Split(string(data), "\n")
		if strings.HasSuffix(path, ".json") {
			words = nil
			if err := json.Unmarshal(data, &words); err != nil {
				log.Fatal(err)
			}
		}
		for _, word := range words {
			if word = strings.ToLower(norm.NFKC.String(word)); word != "" {
				seen[word] = true
			}
		}
	}
	var marks [][]byte
	for word := range seen {
		sum := sha256.Sum256([]byte(word))
		marks = append(marks, sum[:5])
	}
	slices.SortFunc(marks, bytes.Compare)
	marks = slices.CompactFunc(marks, bytes.Equal)
	if err := os.WriteFile("common.bin", bytes.Join(marks, nil), 0o644); err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(seen), "passwords")
}
