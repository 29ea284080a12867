package model

import (
	"bytes"
	"encoding/json"
)

// MarshalText returns a value as rows keep it: JSON that is not made fit for HTML, where a character would
// take six. Who may write much of it writes "<".
func MarshalText(v any) (string, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}
