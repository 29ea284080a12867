package matrixauth

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// doctorAnswer is an answer that the doctor looks at.
type doctorAnswer struct {
	status int
	header http.Header
	body   map[string]any
}

func (a doctorAnswer) text(name string) string {
	text, _ := a.body[name].(string)
	return text
}

func (d *doctor) get(ctx context.Context, base, path, token string) (doctorAnswer, error) {
	return d.send(ctx, http.MethodGet, base, path, token)
}

// maxDoctorAnswer bounds what the doctor reads of an answer, in bytes.
const maxDoctorAnswer = 64 << 10

func (d *doctor) send(ctx context.Context, method, base, path, token string) (doctorAnswer, error) {
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(base, "/")+path, nil)
	if err != nil {
		return doctorAnswer{}, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := d.client.Do(request)
	if err != nil {
		return doctorAnswer{}, err
	}
	defer response.Body.Close()
	answer := doctorAnswer{status: response.StatusCode, header: response.Header}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxDoctorAnswer))
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(text, &answer.body); err != nil {
		answer.body = nil // an answer that is no JSON object is somebody else's, and is judged as such
	}
	return answer, nil
}

// explain says a failure of the network without the address, which the finding names.
func explain(err error) string {
	var address *url.Error
	if errors.As(err, &address) {
		err = address.Err
	}
	return err.Error()
}
