package tests

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestGatewayReadsAsSynapse holds what the gateway reads in requests against the code of real Synapses
// (MOD-4).
func TestGatewayReadsAsSynapse(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			// The gateway is internal to the module above, so its own test is run with this Synapse.
			const test = "TestReadAsSynapse"
			cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-run", "^"+test+"$", "./matrixauth/internal/gateway")
			cmd.Dir = filepath.Dir(rig.Tests())
			cmd.Env = append(os.Environ(), "MATRIX_AUTH_SYNAPSE_PYTHON="+rig.Python(t, version))
			out, err := cmd.CombinedOutput()
			// Without the line, nothing was run, or it was skipped.
			if err != nil || !strings.Contains(string(out), "--- PASS: "+test) {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}

// raw is a request that is sent as it is.
type raw struct {
	method, path, body string
	header             http.Header
}

func (q raw) send(t *testing.T, base string) rig.Answer {
	t.Helper()
	request, err := http.NewRequest(q.method, base+q.path, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = q.header
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer := rig.Answer{Status: response.StatusCode, Header: response.Header}
	if err := json.NewDecoder(response.Body).Decode(&answer.Body); err != nil {
		t.Fatalf("%s %.60s: status %d: %v", q.method, q.path, response.StatusCode, err)
	}
	return answer
}

// waysOfToken are requests in which Synapse finds an administrator's token, and answers 200.
func waysOfToken(token string) map[string]raw {
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	bearer := http.Header{"Authorization": {"Bearer " + token}}
	const whoami, rooms = "/_matrix/client/v3/account/whoami", "/_synapse/admin/v1/rooms"
	// These take a POST without any JSON; of the first Synapse lets a user have five.
	const create = "/_matrix/media/v1/create"
	const quarantine = "/_synapse/admin/v1/room/%21nowhere:example.test/media/quarantine"
	param := "access_token=" + token
	return map[string]raw{
		"header":                         {"GET", whoami, "", bearer},
		"query":                          {"GET", whoami + "?" + param, "", nil},
		"name of the query escaped":      {"GET", whoami + "?%61ccess%5Ftoken=" + token, "", nil},
		"query of 11,000 parameters":     {"GET", whoami + "?" + strings.Repeat("&", 11_000) + param, "", nil},
		"form":                           {"POST", create, param, form},
		"form of 20,000 parameters":      {"POST", quarantine, strings.Repeat("a=1&", 20_000) + param, form},
		"form in capitals":               {"POST", quarantine, "a=b;" + param, http.Header{"Content-Type": {"Application/X-WWW-Form-URLencoded; charset=x"}}},
		"header at the administration":   {"GET", rooms, "", bearer},
		"query at the administration":    {"GET", rooms + "?limit=1&" + param, "", nil},
		"form at the administration":     {"POST", quarantine, param, form},
		"doubled query, the first of it": {"GET", whoami + "?" + param + "&access_token=nobody", "", nil},
	}
}

// TestEveryWayOfAToken sends tokens in each way that Synapse finds them. They all work; and once the
// user is locked or the session has ended none does, while Synapse itself would still take each (MOD-1,
// MOD-4, REV-9).
func TestEveryWayOfAToken(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			h := rig.StartHomeserver(t, version, rig.CaddyConfig{})
			h.AddUser("root1", "--admin")
			issue := func() string {
				return strings.TrimSpace(h.MustCommand("", "token", "issue", "root1", "--admin", "--device-id", "CONSOLE"))
			}
			check := func(t *testing.T, base, token string, status int, errcode string) {
				t.Helper()
				for name, q := range waysOfToken(token) {
					if answer := q.send(t, base); answer.Status != status || answer.Text("errcode") != errcode {
						t.Errorf("%s: status %d, %v", name, answer.Status, answer.Body)
					}
				}
			}
			token := issue()
			check(t, h.URL, token, http.StatusOK, "")

			h.MustCommand("", "user", "lock", "root1")
			check(t, h.URL, token, http.StatusUnauthorized, "M_USER_LOCKED")
			check(t, h.Synapse.URL, token, http.StatusOK, "") // from memory
			h.MustCommand("", "user", "unlock", "root1")
			check(t, h.URL, token, http.StatusOK, "")

			again := issue() // on the same device, so that Synapse has no reason to forget the first
			check(t, h.URL, token, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
			check(t, h.Synapse.URL, token, http.StatusOK, "")
			check(t, h.URL, again, http.StatusOK, "")

			// While there is somebody to stop, what cannot be read for certain ends no session.
			for _, q := range []raw{
				{"GET", "/_matrix/client/v3/account/whoami", "", http.Header{"Authorization": {"Bearer " + again, "Bearer " + token}}},
				{"POST", "/_matrix/media/v1/create", "--b--", http.Header{"Content-Type": {"Multipart/Form-Data; boundary=b"}, "Authorization": {"Bearer " + again}}},
			} {
				q.send(t, h.URL).Must(t, http.StatusBadRequest)
			}
		})
	}
}

// rawGet sends a request line as it is, with the shared secret.
func rawGet(t *testing.T, base, target, secret string) (status int, body string) {
	t.Helper()
	host := strings.TrimPrefix(base, "http://")
	connection, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n", target, host, secret); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// TestGuard tries ways to Synapse's API for us that Synapse, or what stands before it, understands. Not even
// the right secret opens any (SYN-14).
func TestGuard(t *testing.T) {
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{})
	h.AddUser("alice")
	proxy := strings.TrimPrefix(h.Synapse.URL, "http://")
	h.Write(h.Text("handle_path /x/* {\n\t\treverse_proxy " + proxy + "\n\t}\n\troute /y* {\n\t\turi strip_prefix /y\n\t\treverse_proxy " + proxy + "\n\t}"))
	if err := h.Reload(); err != nil {
		t.Fatal(err)
	}
	const call = "_synapse/mas/query_user?localpart=alice"
	t.Run("Synapse answers them", func(t *testing.T) {
		for _, target := range []string{"/" + call, "a" + call, "/%5fsynapse/m%61s/query_user?localpart=alice"} {
			if status, body := rawGet(t, h.Synapse.URL, target, h.Secret); status != http.StatusOK || !strings.Contains(body, "@alice:") {
				t.Errorf("%s: status %d, %s", target, status, body)
			}
		}
		if status, body := rawGet(t, h.URL, "/x/_matrix/client/versions", h.Secret); !strings.Contains(body, "Token is not active") {
			t.Errorf("the prefix leads to Synapse: status %d, %s", status, body)
		}
	})
	for _, target := range []string{
		"/" + call, "x:a" + call, h.URL + "/" + call, "/%5fsynapse/m%61s/query_user?localpart=alice", "/x/" + call, "/x//" + call, "/x%2f" + call, "/y/" + call, "/y" + call,
		"/x/%5fsynapse/mas/query_user?localpart=alice", "/x/../x/" + call,
	} {
		if status, body := rawGet(t, h.URL, target, h.Secret); status != http.StatusNotFound || !strings.Contains(body, "M_UNRECOGNIZED") || strings.Contains(body, "@alice:") {
			t.Errorf("%s: status %d, %s", target, status, body)
		}
	}
}
