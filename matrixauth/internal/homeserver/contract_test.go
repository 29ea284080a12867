package homeserver_test

import (
	"net/url"
	"os"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/contract"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
)

// TestContract judges the fake as both versions, so that unit tests may rely on it.
func TestContract(t *testing.T) {
	for _, version := range []homeserver.Version{homeserver.MinVersion, {Major: 1, Minor: 163, Patch: 2}} {
		t.Run("fake "+version.String(), func(t *testing.T) {
			s := fake.Start(t, fake.Config{Version: version, Keys: true})
			introspector := contract.StartIntrospector(t, "127.0.0.1:0")
			s.AskAt(introspector.URL)
			contract.Run(t, contract.Target{
				Endpoint: s.URL, Secret: s.Secret(), ServerName: "example.test", Version: version, Exclusive: "bridge_x",
				Introspector: introspector,
			})
		})
	}
}

// The environment that names a running Synapse for TestContractSynapse. If one of the first five is
// set, all must be, and the test never skips.
const (
	envEndpoint   = "MATRIX_AUTH_CONTRACT_ENDPOINT"
	envSecret     = "MATRIX_AUTH_CONTRACT_SECRET"
	envServerName = "MATRIX_AUTH_CONTRACT_SERVER_NAME"
	envVersion    = "MATRIX_AUTH_CONTRACT_VERSION"
	// envIntrospector is the address, host and port, at which the homeserver asks about access tokens. The
	// test listens there.
	envIntrospector = "MATRIX_AUTH_CONTRACT_INTROSPECTOR"
	// envExclusive is a localpart that an application service has for itself; it may be missing.
	envExclusive = "MATRIX_AUTH_CONTRACT_EXCLUSIVE"
)

// TestContractSynapse judges a real Synapse by the cases that judge the fake.
func TestContractSynapse(t *testing.T) {
	values := map[string]string{}
	for _, name := range []string{envEndpoint, envSecret, envServerName, envVersion, envIntrospector} {
		if value := os.Getenv(name); value != "" {
			values[name] = value
		}
	}
	if len(values) == 0 {
		t.Skipf("%s is not set: no Synapse to judge", envEndpoint)
	}
	if len(values) != 5 {
		t.Fatalf("set all of %s, %s, %s, %s and %s", envEndpoint, envSecret, envServerName, envVersion, envIntrospector)
	}
	endpoint, err := url.Parse(values[envEndpoint])
	if err != nil {
		t.Fatal(err)
	}
	version, err := homeserver.ParseVersion(values[envVersion])
	if err != nil {
		t.Fatal(err)
	}
	contract.Run(t, contract.Target{
		Endpoint: endpoint, Secret: values[envSecret], ServerName: values[envServerName], Version: version, Exclusive: os.Getenv(envExclusive),
		Introspector: contract.StartIntrospector(t, values[envIntrospector]),
	})
}
