package caddymodule

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// blocklistOption is how messages name the option of the list of refused passwords.
const blocklistOption = "passwords blocklist"

// Passwords says what new passwords must be like, wherever they are set.
type Passwords struct {
	// The least number of characters, 8 to 64. Default: 8.
	MinLength Count `json:"min_length,omitempty"`

	// The least score that zxcvbn gives: 0 lets all pass, 4 is the best. Default: 3.
	MinScore Score `json:"min_score,omitzero"`

	// A file with more passwords that are refused, one a line, sorted by bytes. Default: the built-in list alone.
	Blocklist string `json:"blocklist,omitempty"`
}

func (p Passwords) config() matrixauth.Passwords {
	c := matrixauth.Passwords{MinLength: int(p.MinLength), Blocklist: p.Blocklist}
	if p.MinScore.Set {
		c.MinScore = &p.MinScore.Value
	}
	return c
}

// Score is a score of zxcvbn, 0 to 4. The zero value is none.
type Score struct {
	// Set reports whether there is one, as 0 is.
	Set   bool
	Value int
}

func (s *Score) readArguments(args []string) string {
	text, problem := oneValue(args)
	if problem != "" {
		return problem
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > matrixauth.MinScoreMost {
		return fmt.Sprintf("takes a score from 0 to %d", matrixauth.MinScoreMost)
	}
	*s = Score{true, n}
	return ""
}

// MarshalJSON implements json.Marshaler.
func (s Score) MarshalJSON() ([]byte, error) { return json.Marshal(s.Value) }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Score) UnmarshalJSON(data []byte) error {
	s.Set = true
	return json.Unmarshal(data, &s.Value)
}
