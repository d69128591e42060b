// Command workload is the web server that rehearsed pods run: it behaves as its environment says, so that a rehearsal can have slow starts, late
// readiness, crashes and graceful stops on real containers.
//
//	SIM_STARTUP=5s SIM_READY=never workload
//	workload probe < requests
//
// The variables are those annotations of hollow pods (package sim/hollow) that a manifest passes on; docs/embedded.md, "Workloads that behave", shows how.
// They mean the same and may have the same values. Empty means the default.
//
//	SIM_STARTUP     how long until it listens; default 0s
//	SIM_READY       how long after that until /readyz answers 200, or "never"; default 0s
//	SIM_CRASH_LOOP  "true": it is never ready, and exits with 1 after a second unless SIM_EXIT_CODE and SIM_EXIT_AFTER say otherwise
//	SIM_EXIT_AFTER  how long it listens until it exits by itself, over zero; default: it does not
//	SIM_EXIT_CODE   what it exits with then, 0 to 255; default 0
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
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	b, err := read(os.Getenv)
	code := 1
	if err == nil {
		code, err = b.run(stop)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "workload:", err)
	}
	os.Exit(code)
}

// behaviour is what the environment says.
type behaviour struct {
	startup, ready, exitAfter, shutdown time.Duration
	exitCode                            int
	port                                string
}

// read reads the environment. The error names each variable that is wrong.
func read(env func(string) string) (behaviour, error) {
	var errs []error
	wrong := func(name, want string) { errs = append(errs, fmt.Errorf("%s=%q: want %s", name, env(name), want)) }
	duration := func(name string, otherwise, least time.Duration, word string) time.Duration {
		value := env(name)
		if value == "" {
			return otherwise
		}
		if value == word {
			return never
		}
		d, err := time.ParseDuration(value)
		if err != nil || d < least {
			want := "a duration like 5s"
			if least > 0 {
				want += ", over zero"
			}
			if word != "" {
				want += ", or " + word
			}
			wrong(name, want)
		}
		return d
	}
	b := behaviour{exitAfter: never, port: env("SIM_PORT")}
	b.ready = duration("SIM_READY", 0, 0, "never")
	switch env("SIM_CRASH_LOOP") {
	case "true":
		b.exitAfter, b.exitCode, b.ready = time.Second, 1, never
	case "", "false":
	default:
		wrong("SIM_CRASH_LOOP", "true or false")
	}
	b.startup = duration("SIM_STARTUP", 0, 0, "")
	b.exitAfter = duration("SIM_EXIT_AFTER", b.exitAfter, 1, "")
	b.shutdown = duration("SIM_SHUTDOWN", never, 0, "")
	if code := env("SIM_EXIT_CODE"); code != "" {
		n, err := strconv.ParseUint(code, 10, 8)
		if err != nil {
			wrong("SIM_EXIT_CODE", "a number from 0 to 255")
		} else if b.exitAfter == never {
			wrong("SIM_EXIT_CODE", "SIM_EXIT_AFTER or SIM_CRASH_LOOP with it")
		}
		b.exitCode = int(n)
	}
	if b.port == "" {
		b.port = "8080"
	} else if n, err := strconv.ParseUint(b.port, 10, 16); err != nil || n == 0 {
		wrong("SIM_PORT", "a number from 1 to 65535")
	}
	return b, errors.Join(errs...)
}

// run starts up and serves. It returns the exit status.
func (b behaviour) run(stop <-chan os.Signal) (int, error) {
	select {
	case <-after(b.startup):
	case <-stop:
		return 0, nil
	}
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", ":"+b.port)
	if err != nil {
		return 1, err
	}
	return b.serve(listener, stop)
}

// serve serves until it is told to stop or its time is over.
func (b behaviour) serve(listener net.Listener, stop <-chan os.Signal) (int, error) {
	server := &http.Server{Handler: b.handler(), ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer server.Close()
	over := after(b.exitAfter)
	select {
	case err := <-served:
		return 1, err
	case <-over:
		return b.exitCode, nil
	case <-stop:
	}
	select {
	case <-after(b.shutdown): // new requests are answered: endpoints take a moment to follow
	case <-over:
		return b.exitCode, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = server.Shutdown(ctx) // who has no answer by now gets none
	return 0, nil
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
