// Package containers judges Dockerfile and compose.yaml by the parsers of those who will read them. It is a module of
// its own, so that what these parsers need changes nothing of what the other tests run.
package containers

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

const root = "../.."

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// stages parses the Dockerfile as BuildKit does.
func stages(t *testing.T) []instructions.Stage {
	t.Helper()
	parsed, err := parser.Parse(strings.NewReader(read(t, "Dockerfile")))
	if err != nil {
		t.Fatal(err)
	}
	if len(parsed.Warnings) > 0 {
		t.Errorf("BuildKit warns: %+v", parsed.Warnings)
	}
	found, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// of returns the instructions of a kind.
func of[T instructions.Command](s instructions.Stage) (found []T) {
	for _, command := range s.Commands {
		if one, ok := command.(T); ok {
			found = append(found, one)
		}
	}
	return found
}

// only returns the one instruction of a kind.
func only[T instructions.Command](t *testing.T, s instructions.Stage) (one T) {
	t.Helper()
	found := of[T](s)
	if len(found) != 1 {
		t.Fatalf("there are %d of %T", len(found), one)
	}
	return found[0]
}

// TestDockerfile: two stages; the image has no compiler, no root at run time, its data on volumes, and a health check.
func TestDockerfile(t *testing.T) {
	all := stages(t)
	if len(all) != 2 || all[0].Name != "build" {
		t.Fatalf("got stages %+v", all)
	}
	build, image := all[0], all[1]
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))[1]
	if want := "golang:" + goVersion + "-bookworm"; build.BaseName != want {
		t.Errorf("built on %s, and go.mod asks for %s", build.BaseName, want)
	}
	if !strings.HasPrefix(image.BaseName, "debian:bookworm") {
		t.Errorf("the image is of %s: its C library must be the one that was built with", image.BaseName)
	}
	if user := only[*instructions.UserCommand](t, image).User; user != "10001:10001" {
		t.Errorf("runs as %s", user)
	}
	copied := only[*instructions.CopyCommand](t, image)
	if copied.From != "build" || !slices.Equal(copied.SourcePaths, []string{"/caddy"}) || copied.DestPath != "/usr/bin/caddy" {
		t.Errorf("copies %+v", copied)
	}
	environment := map[string]string{}
	for _, pair := range only[*instructions.EnvCommand](t, image).Env {
		environment[pair.Key] = pair.Value
	}
	volumes := only[*instructions.VolumeCommand](t, image).Volumes
	for _, name := range []string{"XDG_DATA_HOME", "XDG_CONFIG_HOME"} {
		if !slices.Contains(volumes, environment[name]) {
			t.Errorf("%s is %q, which is no volume of %q", name, environment[name], volumes)
		}
	}
	health := only[*instructions.HealthCheckCommand](t, image).Health
	if len(health.Test) < 2 || health.Test[0] != "CMD" || health.Test[1] != "curl" || health.Timeout == 0 {
		t.Errorf("got health check %+v", health)
	}
	// The last word on who runs: nothing after it needs root.
	last := slices.IndexFunc(image.Commands, func(c instructions.Command) bool { _, ok := c.(*instructions.UserCommand); return ok })
	if slices.ContainsFunc(image.Commands[last:], func(c instructions.Command) bool { _, ok := c.(*instructions.RunCommand); return ok }) {
		t.Error("something is run after USER")
	}
}

// compose loads compose.yaml as Docker Compose does, its schema included.
func compose(t *testing.T) *types.Project {
	t.Helper()
	project, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir: mustAbs(t, root), ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(root, "compose.yaml")}},
	}, func(o *loader.Options) { o.SetProjectName("homeserver", true) })
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// TestCompose: what runs is the image that is built here, with no more rights than it needs; nobody but Synapse's network
// reaches Synapse or our listener for it; both have the secret at the path that the documentation names.
func TestCompose(t *testing.T) {
	project := compose(t)
	caddy, synapse := project.Services["caddy"], project.Services["synapse"]
	if caddy.Build == nil || filepath.Clean(caddy.Build.Context) != mustAbs(t, root) {
		t.Errorf("built from %+v", caddy.Build)
	}
	if caddy.Privileged || !slices.Equal(caddy.CapDrop, []string{"ALL"}) || len(caddy.CapAdd) > 0 || !caddy.ReadOnly || caddy.User != "" {
		t.Errorf("caddy has rights that it does not need: %+v", caddy)
	}
	if caddy.Sysctls["net.ipv4.ip_unprivileged_port_start"] != "0" {
		t.Error("a user who is not root cannot listen on port 80")
	}
	for _, port := range caddy.Ports {
		if port.Target != 80 && port.Target != 443 {
			t.Errorf("port %d is published", port.Target)
		}
	}
	if len(synapse.Ports) > 0 {
		t.Error("Synapse's port is published")
	}
	if caddy.StopGracePeriod == nil || caddy.StopGracePeriod.String() <= "30s" {
		t.Errorf("stops within %v, and requests under way have 30 seconds", caddy.StopGracePeriod)
	}
	image := stages(t)[1]
	for _, path := range only[*instructions.VolumeCommand](t, image).Volumes {
		if !slices.ContainsFunc(caddy.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == path && v.Type == "volume" }) {
			t.Errorf("%s would be in a volume without a name", path)
		}
	}
	page := read(t, "docs/running.md")
	for name, service := range map[string]types.ServiceConfig{"secret_file /run/secrets/": caddy, `secret_path: "/run/secrets/`: synapse} {
		if len(service.Secrets) != 1 || !strings.Contains(page, name+service.Secrets[0].Source) {
			t.Errorf("%s: %+v, and docs/running.md does not say so", name, service.Secrets)
		}
	}
	ignored := read(t, ".dockerignore")
	for _, secret := range project.Secrets {
		if top, _, _ := strings.Cut(strings.TrimPrefix(secret.File, mustAbs(t, root)+"/"), "/"); !strings.Contains(ignored, top+"\n") {
			t.Errorf("%s would be sent to whoever builds the image", secret.File)
		}
	}
}

func mustAbs(t *testing.T, path string) string {
	t.Helper()
	full, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return full
}
