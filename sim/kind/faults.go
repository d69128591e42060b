package kind

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/seatrial/seatrial/sim/ready"
)

// Kill kills a component, and looks whether that process is gone.
func (c *Cluster) Kill(ctx context.Context, node, component string) error {
	return c.signal(ctx, node, component, "KILL", func(ctx context.Context, m machine, pids []string) error {
		left, err := c.pids(ctx, m, component)
		if err == nil && slices.ContainsFunc(pids, func(pid string) bool { return slices.Contains(left, pid) }) {
			err = errors.New("it is still there")
		}
		return err
	})
}

// Pause stops a component in its tracks, and looks whether it stands still.
func (c *Cluster) Pause(ctx context.Context, node, component string) error {
	return c.signal(ctx, node, component, "STOP", func(ctx context.Context, m machine, pids []string) error {
		return c.expectState(ctx, m, pids, true)
	})
}

// Resume lets a paused component go on.
func (c *Cluster) Resume(ctx context.Context, node, component string) error {
	return c.signal(ctx, node, component, "CONT", func(ctx context.Context, m machine, pids []string) error {
		return c.expectState(ctx, m, pids, false)
	})
}

// signal sends a signal to a component's processes and waits until it has had its effect.
func (c *Cluster) signal(ctx context.Context, node, component, signal string, seen func(context.Context, machine, []string) error) error {
	m, err := c.machine(node)
	if err != nil {
		return err
	}
	pids, err := c.pids(ctx, m, component)
	if err == nil && len(pids) == 0 {
		err = errors.New("it does not run there")
	}
	if err == nil {
		_, err = c.run(ctx, m, nil, append([]string{"kill", "-" + signal}, pids...)...)
	}
	if err == nil {
		err = ready.Poll(ctx, fmt.Sprintf("signal %s has reached it", signal), func(ctx context.Context) error { return seen(ctx, m, pids) })
	}
	if err != nil {
		return fmt.Errorf("send %s to %s on node %q: %w", signal, component, node, err)
	}
	return nil
}

// pids are a component's processes on a node: the node sees those in its pods too.
func (c *Cluster) pids(ctx context.Context, m machine, component string) ([]string, error) {
	found, err := c.processes(ctx, m, "pid", component)
	return found[component], err
}

// program is what a process runs, by its arguments.
var program = regexp.MustCompile("^(?:/usr/bin/|/usr/local/bin/)?([^ ]+)(?: |$)")

// processes are what ps says of components' processes in a column, by component.
func (c *Cluster) processes(ctx context.Context, m machine, column string, components ...string) (map[string][]string, error) {
	lines, err := c.engine.Lines(ctx, "exec", m.container, "ps", "-eo", column+"=,args=")
	return parseProcesses(lines, components), err
}

// parseProcesses reads the lines of ps.
func parseProcesses(lines, components []string) map[string][]string {
	found := map[string][]string{}
	for _, line := range lines {
		value, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name := program.FindStringSubmatch(strings.TrimSpace(args)); name != nil && slices.Contains(components, name[1]) {
			found[name[1]] = append(found[name[1]], value)
		}
	}
	return found
}

// expectState looks whether processes are stopped (proc_pid_stat(5), state T), or none is.
func (c *Cluster) expectState(ctx context.Context, m machine, pids []string, stopped bool) error {
	states, err := c.engine.Lines(ctx, "exec", m.container, "ps", "-o", "state=", "-p", strings.Join(pids, ","))
	if err != nil {
		return err
	}
	for _, state := range states {
		if (strings.TrimSpace(state) == "T") != stopped {
			return fmt.Errorf("its state is %s", state)
		}
	}
	return nil
}

// cut drops every packet that comes to a node or leaves it. nftables' inet family has both versions of IP, and its priorities are before and after all others.
// https://wiki.nftables.org/wiki-nftables/index.php/Netfilter_hooks
const cut = `table inet seatrial_cut {
	chain arriving { type filter hook prerouting priority -500; iifname "eth0" drop; }
	chain leaving { type filter hook postrouting priority 500; oifname "eth0" drop; }
}
`

// CutOff cuts a node's network: what runs on it goes on, and nothing comes from it or reaches it, not even its published ports.
func (c *Cluster) CutOff(ctx context.Context, node string) error {
	return c.filter(ctx, node, "cut off", cut, true)
}

// Reconnect gives a node its network back.
func (c *Cluster) Reconnect(ctx context.Context, node string) error {
	return c.filter(ctx, node, "reconnect", "add table inet seatrial_cut\ndelete table inet seatrial_cut\n", false) // adding what is there is no error, as deleting what is not would be
}

// filter gives nftables on a node its input, and looks whether the table is there afterwards, or not.
func (c *Cluster) filter(ctx context.Context, node, verb, input string, there bool) error {
	m, err := c.machine(node)
	if err != nil {
		return err
	}
	if _, err := c.run(ctx, m, strings.NewReader(input), "nft", "--file", "-"); err != nil {
		return fmt.Errorf("%s node %q: %w", verb, node, err)
	}
	tables, err := c.engine.Output(ctx, "exec", m.container, "nft", "list", "tables", "inet")
	if err == nil && strings.Contains(tables, "seatrial_cut") != there {
		err = fmt.Errorf("nftables has the tables %q", tables)
	}
	if err != nil {
		return fmt.Errorf("%s node %q: look whether it is: %w", verb, node, err)
	}
	return nil
}
