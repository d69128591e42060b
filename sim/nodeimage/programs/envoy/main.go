// Command envoy stands in for Envoy in kind's load balancer container, where the real one can't be had. It reads the two files that kind writes for
// Envoy, follows their changes, and gives each connection to the next API server that is healthy.
//
//	envoy -c /home/envoy/envoy.yaml
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"

	"github.com/seatrial/seatrial/sim/balancer"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if len(os.Args) != 3 || os.Args[1] != "-c" {
		fmt.Fprintln(os.Stderr, "usage: envoy -c FILE")
		os.Exit(2)
	}
	if err := run(ctx, filepath.Dir(os.Args[2])); err != nil {
		fmt.Fprintln(os.Stderr, "envoy:", err)
		os.Exit(1) // kind's loop starts it again
	}
}

// run balances until it is told to stop.
func run(ctx context.Context, dir string) error {
	var b *balancer.Balancer
	var given []string
	var health balancer.Health
	tick := time.NewTicker(balancer.HealthInterval)
	defer tick.Stop()
	for {
		listen, err := addresses(filepath.Join(dir, "lds.yaml"))
		if err != nil {
			return err
		}
		servers, err := addresses(filepath.Join(dir, "cds.yaml"))
		if err != nil {
			return err
		}
		if b == nil && len(listen) > 0 {
			if b, err = balancer.Listen(ctx, listen[0], servers); err != nil {
				return err
			}
			defer b.Close()
		}
		if good := health.Healthy(ctx, servers); b != nil && !slices.Equal(good, given) {
			b.SetBackends(good)
			given = good
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

var (
	addressLine = regexp.MustCompile(`^\s*address: "?([^\s"{}]+)"?\s*$`)
	portLine    = regexp.MustCompile(`^\s*port_value: (\d+)\s*$`)
)

// addresses reads the socket addresses in one of Envoy's files: each is an address line and a port_value line.
func addresses(path string) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var found []string
	var host string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if m := addressLine.FindStringSubmatch(lines.Text()); m != nil {
			host = m[1]
		}
		if m := portLine.FindStringSubmatch(lines.Text()); m != nil && host != "" {
			found = append(found, net.JoinHostPort(host, m[1]))
			host = ""
		}
	}
	slices.Sort(found)
	return found, lines.Err()
}
