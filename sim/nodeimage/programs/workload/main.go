// Command workload is the web server that rehearsed pods run: it behaves as its environment says, so that a rehearsal can have slow starts, late
// readiness, crashes and graceful stops on real containers.
//
//	SIM_STARTUP=5s SIM_READY=never workload
//	workload probe < requests
//
// The variables are those annotations of hollow pods (package sim/hollow) that a manifest passes on; docs/scenarios.md shows how. Empty means the default.
//
//	SIM_STARTUP     how long until it listens; default 0s
//	SIM_READY       how long after that until /readyz answers 200, or "never"; default 0s
//	SIM_CRASH_LOOP  "true": it exits with status 1 after a second
//	SIM_EXIT_AFTER  how long until it exits by itself; default: it does not
//	SIM_EXIT_CODE   what it exits with then; default 0
//	SIM_SHUTDOWN    how long it goes on serving after SIGTERM; default: until it is killed
//	SIM_PORT        the port it listens on; default 8080
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// never is a duration that does not end.
const never time.Duration = -1

func main() {
	if len(os.Args) > 1 && os.Args[1] == "probe" {
		probe(os.Stdin, os.Stdout)
		return
	}
	b, err := read(os.Getenv)
	if err == nil {
		err = b.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "workload:", err)
		os.Exit(1)
	}
	os.Exit(b.exitCode)
}

// behaviour is what the environment says.
type behaviour struct {
	startup, ready, exitAfter, shutdown time.Duration
	exitCode                            int
	port                                string
}

func read(env func(string) string) (behaviour, error) {
	var errs []error
	duration := func(name string, otherwise time.Duration) time.Duration {
		switch value := env(name); value {
		case "":
			return otherwise
		case "never":
			return never
		default:
			d, err := time.ParseDuration(value)
			if err == nil && d < 0 {
				err = errors.New("it is negative")
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s=%q: %w", name, value, err))
			}
			return d
		}
	}
	b := behaviour{
		startup: duration("SIM_STARTUP", 0), ready: duration("SIM_READY", 0),
		exitAfter: duration("SIM_EXIT_AFTER", never), shutdown: duration("SIM_SHUTDOWN", never), port: env("SIM_PORT"),
	}
	if b.port == "" {
		b.port = "8080"
	}
	if env("SIM_CRASH_LOOP") == "true" {
		b.exitAfter, b.exitCode, b.ready = time.Second, 1, never
	}
	if code := env("SIM_EXIT_CODE"); code != "" {
		var err error
		if b.exitCode, err = strconv.Atoi(code); err != nil || b.exitCode < 0 || b.exitCode > 255 {
			errs = append(errs, fmt.Errorf("SIM_EXIT_CODE=%q: want 0 to 255", code))
		}
	}
	return b, errors.Join(errs...)
}

// run serves until it is told to stop or its time is over.
func (b behaviour) run() error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	over := after(b.exitAfter)
	select {
	case <-after(b.startup):
	case <-over:
		return nil
	case <-stop:
		return nil
	}
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", ":"+b.port)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: b.handler(), ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-over:
		return nil
	case <-stop:
	}
	<-after(b.shutdown) // new requests are answered: endpoints take a moment to follow
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return server.Shutdown(ctx)
}

// handler answers with the name of the pod.
func (b behaviour) handler() http.Handler {
	var ready atomic.Bool
	if b.ready != never {
		time.AfterFunc(b.ready, func() { ready.Store(true) })
	}
	host, err := os.Hostname()
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			http.Error(w, "not ready yet", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set(podHeader, host)
		fmt.Fprintln(w, host)
	})
	return mux
}

// after is time.After, for ever when there is no end.
func after(d time.Duration) <-chan time.Time {
	if d == never {
		return nil
	}
	return time.After(d)
}
