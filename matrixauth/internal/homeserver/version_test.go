package homeserver_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
)

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]string{
		"1.136.0":                  "1.136.0",
		"1.157.1":                  "1.157.1",
		"1.136.0rc1":               "1.136.0rc1",
		"1.136":                    "1.136.0",
		"2.0.0":                    "2.0.0",
		"1.136.0 (b=main,0123abc)": "1.136.0",
		"1.136.0+local.1":          "1.136.0",
		"1.136.0rc2+local":         "1.136.0rc2",
		"":                         "",
		"1":                        "",
		"v1.136.0":                 "",
		"1.136.0x":                 "",
		"1.-1.0":                   "",
		"1.9999999.0":              "",
		"Dendrite":                 "",
	} {
		got, err := homeserver.ParseVersion(text)
		if (err == nil) != (want != "") || (err == nil && got.String() != want) {
			t.Errorf("ParseVersion(%q) = %v, %v; want %q", text, got, err, want)
		}
	}
}

func TestVersionOrder(t *testing.T) {
	ascending := []string{"1.99.9", "1.135.2", "1.136.0a1", "1.136.0rc1", "1.136.0rc2", "1.136.0rc10", "1.136.0", "1.136.1rc1", "1.136.1", "1.137.0rc1", "1.157.1", "2.0.0rc1", "2.0.0"}
	parse := func(text string) homeserver.Version {
		v, err := homeserver.ParseVersion(text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for i, a := range ascending {
		for j, b := range ascending {
			if got, want := parse(a).Less(parse(b)), i < j; got != want {
				t.Errorf("%s less than %s: %v; want %v", a, b, got, want)
			}
			if got, want := parse(a).Compare(parse(b)) == 0, i == j; got != want {
				t.Errorf("%s equals %s: %v; want %v", a, b, got, want)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	for text, old := range map[string]bool{"1.134.0": true, "1.136.0rc2": true, "1.136.0": false, "1.157.1": false} {
		t.Run(text, func(t *testing.T) {
			version, err := homeserver.ParseVersion(text)
			if err != nil {
				t.Fatal(err)
			}
			s := start(t, fake.Config{Version: version})
			got, err := s.Client().Version(t.Context())
			if got != version {
				t.Errorf("version is %v; want %v", got, version)
			}
			if old {
				want(t, err, homeserver.TooOld)
				want(t, s.Client().DeleteDevice(t.Context(), "alice", "DEV"), homeserver.TooOld)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("without_delegation_there_is_a_version_but_no_api", func(t *testing.T) {
		s := start(t, fake.Config{NoDelegation: true})
		if _, err := s.Client().Version(t.Context()); err != nil {
			t.Error(err)
		}
		_, err := s.Client().QueryUser(t.Context(), "alice")
		want(t, err, homeserver.TooOld)
	})
}

// TestVersionElsewhere is about answers that are not those of server_version.
func TestVersionElsewhere(t *testing.T) {
	for name, c := range map[string]struct {
		status               int
		server, kind, answer string
		want                 string
		reason               homeserver.Reason
	}{
		"closed_path_of_a_synapse":     {404, "Synapse/1.140.0", "application/json", `{}`, "1.140.0", 0},
		"closed_path_of_an_old_one":    {404, "Synapse/1.130.0", "text/html", ``, "1.130.0", homeserver.TooOld},
		"closed_path_of_another":       {404, "nginx", "text/html", ``, "0.0.0", homeserver.Down},
		"page":                         {200, "nginx", "text/html", `<html>`, "0.0.0", homeserver.Down},
		"json_of_another":              {200, "other", "application/json", `{"version":"1.140.0"}`, "0.0.0", homeserver.Down},
		"nonsense":                     {200, "other", "application/json", `{"server_version":"yes"}`, "0.0.0", homeserver.Down},
		"another_type":                 {200, "other", "application/json", `{"server_version":1.140}`, "0.0.0", homeserver.Down},
		"a_synapse_that_is_not_ready":  {503, "Synapse/1.140.0", "application/json", `{}`, "0.0.0", homeserver.Down},
		"a_proxy_before_a_dead_server": {502, "nginx", "text/html", ``, "0.0.0", homeserver.Down},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, fake.Config{})
			s.Intercept(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Server", c.server)
				w.Header().Set("Content-Type", c.kind)
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.answer)
			})
			got, err := s.Client().Version(t.Context())
			if got.String() != c.want {
				t.Errorf("version is %v; want %s", got, c.want)
			}
			if c.reason != 0 {
				want(t, err, c.reason)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}
