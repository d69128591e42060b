// Package engine knows the container engine that kind's nodes run in: which one there is, what it is given, and what this machine lacks for it.
//
//	facts := engine.Look(ctx, "")
//	for _, c := range engine.Examine(facts) { fmt.Println(c.Name, c.State, c.Found, c.Do) }
//	settings := engine.ContainersConf(facts.Limits) // for podman, in a file that CONTAINERS_CONF names
//
// Looking and judging are apart: [Look] asks the machine, and everything else is a pure function of what it found.
package engine

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// The engines, in the order in which they are looked for: the first that answers is taken.
const (
	Docker = "docker"
	Podman = "podman"
)

var known = []string{Docker, Podman}

// answerTimeout is how long an engine may take to say its version.
const answerTimeout = 10 * time.Second

// Engine is a container engine that answers.
type Engine struct {
	// Name is "docker" or "podman".
	Name string `json:"name"`
	// Path is its executable.
	Path string `json:"path"`
	// Version is that of the part that runs containers: docker's server, and podman itself.
	Version string `json:"version"`
}

// MissingError says why no engine can be used, for each that was looked for.
type MissingError struct{ Reasons []error }

func (e *MissingError) Error() string {
	return "no container engine: " + strings.ReplaceAll(errors.Join(e.Reasons...).Error(), "\n", "; ")
}

func (e *MissingError) Unwrap() []error { return e.Reasons }

// UnknownError says that there is no engine of that name.
type UnknownError struct{ Name string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("unknown engine %q; known are %s", e.Name, strings.Join(known, ", "))
}

// CheckName refuses a name that is no engine's, before anything is done. Empty means any engine.
func CheckName(name string) error {
	if name != "" && !slices.Contains(known, name) {
		return &UnknownError{name}
	}
	return nil
}

// Find looks for the named engine, or, without a name, for the first that answers. The error is a [*MissingError] or an [*UnknownError].
func Find(ctx context.Context, name string) (Engine, error) {
	if err := CheckName(name); err != nil {
		return Engine{}, err
	}
	names := known
	if name != "" {
		names = []string{name}
	}
	var missing MissingError
	for _, name := range names {
		e, err := ask(ctx, name)
		if err == nil {
			return e, nil
		}
		missing.Reasons = append(missing.Reasons, err)
	}
	return Engine{}, &missing
}

// ask has an engine say its version, which docker's client can only with a daemon that lets us in.
func ask(ctx context.Context, name string) (Engine, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return Engine{}, fmt.Errorf("%s is not installed", name)
	}
	format := "{{.Server.Version}}"
	if name == Podman {
		format = "{{.Client.Version}}"
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, path, "version", "--format", format)
	c.WaitDelay = time.Second
	out, err := c.Output()
	version := strings.TrimSpace(string(out))
	if err == nil && version != "" {
		return Engine{Name: name, Path: path, Version: version}, nil
	}
	reason := "it said no version"
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		reason = fmt.Sprintf("no answer within %s", answerTimeout)
	case errors.As(err, &exit):
		reason = firstLine(string(exit.Stderr))
	case err != nil:
		reason = err.Error()
	}
	return Engine{}, fmt.Errorf("%s does not work: %s", path, reason)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
