// Command envoy stands in for Envoy in kind's load balancer container, where the real one can't be had. It reads the two files that kind writes for
// Envoy, follows their changes, and gives each connection to the next API server that is healthy.
//
//	envoy -c /home/envoy/envoy.yaml
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/seatrial/seatrial/sim/balancer"
)

const (
	// interval is how often the files and the API servers are looked at; kind has Envoy look every two seconds.
	interval = time.Second
	// checkTimeout is how long an API server may take to say that it is healthy.
	checkTimeout = 3 * time.Second
	// threshold is how often in a row it has to fail before it gets no connections, and loses those that it has.
	threshold = 2
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
	failed := map[string]int{}
	tick := time.NewTicker(interval)
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
		if good := healthy(ctx, servers, failed); b != nil && !slices.Equal(good, given) {
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

// healthy are the servers that have not failed to say so too often in a row, which it counts in failed; when there is none, all of them: a client's own error says more
// than a closed port.
func healthy(ctx context.Context, servers []string, failed map[string]int) []string {
	var checking sync.WaitGroup
	ok := make([]bool, len(servers))
	for i, server := range servers {
		checking.Go(func() { ok[i] = check(ctx, server) })
	}
	checking.Wait()
	var good []string
	for i, server := range servers {
		if failed[server]++; ok[i] {
			failed[server] = 0
		}
		if failed[server] < threshold {
			good = append(good, server)
		}
	}
	if len(good) == 0 {
		return servers
	}
	return good
}

// client trusts any certificate, as kind has Envoy do: only whether the server is well is asked.
var client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

func check(ctx context.Context, server string) bool {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+server+"/healthz", nil)
	if err != nil {
		return false
	}
	answer, err := client.Do(request)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}
