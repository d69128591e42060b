package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seatrial/seatrial/sim/proc"
)

// stopGrace is what an engine's command gets to end by itself when its context ends.
const stopGrace = time.Second

// Client runs an engine's commands, each a child process with its arguments as they are: no shell is between.
type Client struct {
	Engine
	supervisor *proc.Supervisor
	env        []string
}

// Open finds an engine, the named one or the first that answers, and gives it the configuration that this machine needs, in a file of ours. The error
// is a [*MissingError] when there is none.
func Open(ctx context.Context, supervisor *proc.Supervisor, name string) (*Client, error) {
	e, err := Find(ctx, name)
	if err != nil {
		return nil, err
	}
	env, err := environment(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("configure %s: %w", e.Name, err)
	}
	return &Client{Engine: e, supervisor: supervisor, env: env}, nil
}

// Reopen is a client for an engine that another process has opened, with the environment that it had: that of a reaper says less.
func Reopen(supervisor *proc.Supervisor, e Engine, env []string) *Client {
	return &Client{Engine: e, supervisor: supervisor, env: env}
}

// Environment is the environment of the engine's commands, for other programs that run them.
func (c *Client) Environment() []string { return slices.Clone(c.env) }

// passed are the variables that say where an engine is and keeps its things.
var passed = []string{
	"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "CONTAINER_HOST", "CONTAINERS_CONF",
	"CONTAINERS_STORAGE_CONF", "CONTAINERS_REGISTRIES_CONF", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "DBUS_SESSION_BUS_ADDRESS",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
}

func environment(ctx context.Context, e Engine) ([]string, error) {
	env := proc.Environment()
	for _, name := range passed {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	if e.Name != Podman || os.Getenv("CONTAINERS_CONF") != "" {
		return env, nil
	}
	facts := Look(ctx, e.Name)
	if facts.Cgroups == Unified && facts.Capabilities&(1<<unix.CAP_SYS_RESOURCE) != 0 {
		return env, nil // the user's own configuration will do
	}
	path, err := writeConf(ContainersConf(facts.Limits))
	return append(env, "CONTAINERS_CONF="+path), err
}

// writeConf puts a configuration into seatrial's folder, under a name that says its content, so that several processes can.
func writeConf(content string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(content))
	path := filepath.Join(cache, "seatrial", "engine", "containers-"+hex.EncodeToString(sum[:6])+".conf")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".containers-*")
	if err != nil {
		return "", err
	}
	_, err = file.WriteString(content)
	return path, errors.Join(err, file.Close(), os.Rename(file.Name(), path))
}

// Command is one command of the engine, with its streams.
type Command struct {
	Args  []string
	Stdin io.Reader
	// Stdout is written what the command writes there. Nil drops it.
	Stdout io.Writer
	// OnLine, when set, is called for each line of stderr.
	OnLine func(string)
}

// FinishTime is how long a command may go on that is not to be broken off: several times what one takes, and little enough to wait for one that hangs.
const FinishTime = 10 * time.Second

// unbroken are the commands that make and remove what a container has of a network.
var unbroken = []string{"restart", "rm", "run", "start", "stop"}

// Unbroken tells whether a command, by its arguments, must be let finish. Podman that is killed while it makes or removes a container's network leaves behind what no
// command of it removes: a bridge, its rules of iptables, and aardvark-dns, which serves its names.
func Unbroken(args []string) bool { return len(args) > 0 && slices.Contains(unbroken, args[0]) }

// Do runs a command to its end. The error has the last lines of its stderr ([*proc.ExitError]).
func (c *Client) Do(ctx context.Context, command Command) error {
	stdout := command.Stdout
	if stdout == nil {
		stdout = io.Discard
	}
	name := c.Name
	for _, word := range command.Args {
		if len(name)+len(word) > 80 {
			break
		}
		name += " " + word
	}
	run := proc.Command{
		Name: name, Path: c.Path, Args: command.Args, Env: c.env, Stdin: command.Stdin, Stdout: stdout, OnLine: command.OnLine,
	}
	if Unbroken(command.Args) {
		run.Finish = FinishTime
	}
	return c.supervisor.Run(ctx, run, stopGrace)
}

// Output runs a command and returns what it wrote to stdout, without the space around it.
func (c *Client) Output(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	err := c.Do(ctx, Command{Args: args, Stdout: &out})
	return strings.TrimSpace(out.String()), err
}

// Lines runs a command and returns the lines of its stdout that are not empty.
func (c *Client) Lines(ctx context.Context, args ...string) ([]string, error) {
	out, err := c.Output(ctx, args...)
	return strings.FieldsFunc(out, func(r rune) bool { return r == '\n' }), err
}

// HasImage tells whether the engine has an image, without asking a registry.
func (c *Client) HasImage(ctx context.Context, ref string) (bool, error) {
	label, err := c.imageField(ctx, ref, "{{.Id}}")
	return label != "", err
}

// ImageLabel is a label of an image, or "" when the engine has no such image or it no such label.
func (c *Client) ImageLabel(ctx context.Context, ref, label string) (string, error) {
	value, err := c.imageField(ctx, ref, fmt.Sprintf("{{index .Config.Labels %q}}", label))
	if value == "<no value>" {
		value = ""
	}
	return value, err
}

func (c *Client) imageField(ctx context.Context, ref, format string) (string, error) {
	ids, err := c.Lines(ctx, "image", "ls", "--quiet", "--no-trunc", "--filter", "reference="+ref)
	if err != nil || len(ids) == 0 {
		return "", err
	}
	return c.Output(ctx, "image", "inspect", "--format", format, ref)
}

// Remove removes containers at once, whatever runs in them, with their anonymous volumes.
func (c *Client) Remove(ctx context.Context, ids ...string) error {
	args := []string{"rm", "--force", "--volumes"}
	if c.Name == Podman {
		args = append(args, "--time", "0") // it asks politely first, for ten seconds
	}
	return c.Do(ctx, Command{Args: append(args, ids...)})
}
