package homeserver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// Version is a version of Synapse. Its fields can be compared with ==, its order with Compare.
type Version struct {
	Major, Minor, Patch int
	// Pre is the mark of a pre-release as Synapse writes it, such as "rc1"; empty for a release.
	Pre string
}

// MinVersion is the oldest Synapse that can be served: the first with a stable
// matrix_authentication_service section. Do not assign to it.
var MinVersion = Version{Major: 1, Minor: 136}

// SafeVersion is the oldest Synapse that has no security hole known to us: 1.157.2 was released to close
// one. Older ones are served, with a warning (SYN-25). Do not assign to it.
var SafeVersion = Version{Major: 1, Minor: 157, Patch: 2}

var versionPattern = regexp.MustCompile(`^([0-9]{1,6})\.([0-9]{1,6})(?:\.([0-9]{1,6}))?((?:a|b|rc)[0-9]{1,6})?(?:[ +-].*)?$`)

// ParseVersion reads a version as Synapse reports it: "1.157.1", "1.136.0rc1", also with a local part
// or the branch that it was built from behind it.
func ParseVersion(text string) (Version, error) {
	m := versionPattern.FindStringSubmatch(text)
	if m == nil {
		return Version{}, fmt.Errorf("%q is not a version of Synapse", printable(text))
	}
	number := func(s string) int {
		n, _ := strconv.Atoi(s) // at most six digits by the pattern; a missing patch level is 0
		return n
	}
	return Version{Major: number(m[1]), Minor: number(m[2]), Patch: number(m[3]), Pre: m[4]}, nil
}

// String writes the version as Synapse does.
func (v Version) String() string {
	return fmt.Sprintf("%d.%d.%d%s", v.Major, v.Minor, v.Patch, v.Pre)
}

// Compare returns -1, 0 or 1 for a version that is older than, equal to or newer than another. A
// pre-release is older than its release.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch), comparePre(v.Pre, w.Pre))
}

// Less reports whether a version is older than another.
func (v Version) Less(w Version) bool { return v.Compare(w) < 0 }

func comparePre(a, b string) int {
	if a == "" || b == "" {
		// The release is the newest of its pre-releases.
		return cmp.Compare(len(b), len(a))
	}
	stage := func(s string) (string, int) {
		letters := strings.TrimRight(s, "0123456789")
		n, _ := strconv.Atoi(s[len(letters):]) // digits only
		return letters, n
	}
	aLetters, aNumber := stage(a)
	bLetters, bNumber := stage(b)
	return cmp.Or(strings.Compare(aLetters, bLetters), cmp.Compare(aNumber, bNumber))
}

// Version asks the homeserver for its version. Below MinVersion it returns the version together with an
// Error of reason TooOld. The call carries no secret.
//
// `/_matrix/federation/v1/version` is not mounted on a listener for clients; Synapse answers
// `/_synapse/admin/v1/server_version` there without authentication, and names its version in the Server
// header of every answer, which counts where that path is closed.
func (c *Client) Version(ctx context.Context) (Version, error) {
	const op = "server_version"
	a, err := c.send(ctx, request{op: op, method: http.MethodGet, path: serverVersionPath, open: true})
	if err != nil {
		return Version{}, err
	}
	text, err := versionText(a)
	if err != nil {
		return Version{}, &Error{Reason: Down, Op: op, Status: a.status, Err: err}
	}
	v, err := ParseVersion(text)
	if err != nil {
		return Version{}, &Error{Reason: Down, Op: op, Status: a.status, Err: err}
	}
	if v.Less(MinVersion) {
		return v, &Error{Reason: TooOld, Op: op, Status: a.status, Err: fmt.Errorf("it is Synapse %s", v)}
	}
	return v, nil
}

// CheckServerName compares the homeserver's server_name with the configured one, where it tells it to
// everybody: with its signing keys, on a listener that serves these. The error is of reason OtherServerName;
// nil means that it is the same, or was not told. The call carries no secret.
func (c *Client) CheckServerName(ctx context.Context) error {
	const op = "server_keys"
	a, err := c.send(ctx, request{op: op, method: http.MethodGet, path: keysPath, open: true})
	if err != nil || a.status != http.StatusOK || !isObject(a) {
		return nil
	}
	var body struct {
		ServerName string `json:"server_name"`
	}
	if json.Unmarshal(a.body, &body) != nil || body.ServerName == "" || body.ServerName == c.serverName {
		return nil
	}
	return c.otherServerName(op, a.status, body.ServerName)
}

func (c *Client) otherServerName(op string, status int, found string) *Error {
	return &Error{Reason: OtherServerName, Op: op, Status: status, Err: fmt.Errorf("it is %q, the configuration says %q", printable(found), c.serverName)}
}

// versionText finds the version in an answer.
func versionText(a answer) (string, error) {
	if a.status == http.StatusOK && isObject(a) {
		var body struct {
			Version string `json:"server_version"`
		}
		if err := json.Unmarshal(a.body, &body); err == nil && body.Version != "" {
			return body.Version, nil
		}
	}
	if text, ok := strings.CutPrefix(a.header.Get("Server"), "Synapse/"); ok && a.status < 500 {
		return text, nil
	}
	return "", errors.New("the answer is not of Synapse")
}
