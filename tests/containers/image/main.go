// Command image prints as JSON what the image of our Dockerfile is made of, as BuildKit reads it, for tests that do the
// same on a machine without containers.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// image is the last stage of a Dockerfile.
type image struct {
	// Run are the scripts of RUN, in their order.
	Run []string
	// Copied are the files that come from another stage, by where they go to.
	Copied                  map[string]string
	Env                     map[string]string
	User, Workdir           string
	Entrypoint, Cmd, Health []string
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	parsed, err := parser.Parse(file)
	if err != nil {
		return err
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return err
	}
	made, err := read(stages[len(stages)-1])
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(made)
}

// read refuses an instruction that it does not know, lest the tests leave one out.
func read(stage instructions.Stage) (image, error) {
	made := image{Copied: map[string]string{}, Env: map[string]string{}}
	for _, command := range stage.Commands {
		switch c := command.(type) {
		case *instructions.RunCommand:
			made.Run = append(made.Run, c.CmdLine...)
		case *instructions.CopyCommand:
			for _, source := range c.SourcePaths {
				made.Copied[c.DestPath] = source
			}
		case *instructions.EnvCommand:
			for _, pair := range c.Env {
				made.Env[pair.Key] = pair.Value
			}
		case *instructions.UserCommand:
			made.User = c.User
		case *instructions.WorkdirCommand:
			made.Workdir = c.Path
		case *instructions.EntrypointCommand:
			made.Entrypoint = c.CmdLine
		case *instructions.CmdCommand:
			made.Cmd = c.CmdLine
		case *instructions.HealthCheckCommand:
			made.Health = c.Health.Test
		case *instructions.VolumeCommand, *instructions.ExposeCommand:
			// They are for the runtime.
		default:
			return made, fmt.Errorf("%s is not known here", command.Name())
		}
	}
	return made, nil
}
