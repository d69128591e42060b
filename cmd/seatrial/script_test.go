package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/seatrial/seatrial/sim/cloud/objectstore"
	"github.com/seatrial/seatrial/sim/proc"
	"github.com/seatrial/seatrial/test/etcdtest"
)

func TestMain(m *testing.M) {
	proc.Dispatch(entries)
	testscript.Main(m, map[string]func(){"seatrial": main})
}

// TestScript runs the command lines in testdata/script: what they print, where, and how they exit.
func TestScript(t *testing.T) {
	scenarios, err := filepath.Abs("../../scenarios")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("SCENARIOS", scenarios)
			env.Setenv("HOME", env.WorkDir)
			bin, _, _ := strings.Cut(env.Getenv("PATH"), string(filepath.ListSeparator))
			env.Setenv("BIN", bin) // where seatrial is, for scripts that have no other programs
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "etcd": startEtcd, "objectstore": startStore},
	})
}

// exits runs a command line and compares its exit status: exits STATUS COMMAND ARG…
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND ARG…")
	}
	status := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		status = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v: %v", args[1:], err)
	}
	if strconv.Itoa(status) != args[0] {
		ts.Fatalf("%v: exit status %d, expected %s", args[1:], status, args[0])
	}
}

// startEtcd starts an etcd with a Deployment and the nodes in it, until the script ends, and sets ETCD to its endpoint: etcd NODE…
// Two with the same nodes may have the same bytes.
func startEtcd(ts *testscript.TestScript, _ bool, nodes []string) {
	client, stop, err := etcdtest.Start(filepath.Join(ts.MkAbs("."), "etcd"+strconv.FormatInt(time.Now().UnixNano(), 36)))
	ts.Check(err)
	ts.Defer(stop)
	put := func(key, value string) {
		_, err := client.Put(context.Background(), key, value)
		ts.Check(err)
	}
	put("/registry/deployments/production/web", `{"apiVersion":"apps/v1","metadata":{"name":"web","namespace":"production","uid":"1"}}`)
	for _, node := range nodes {
		put("/registry/minions/"+node, fmt.Sprintf(`{"apiVersion":"v1","metadata":{"name":%q,"uid":"of %[1]s"}}`, node))
	}
	ts.Setenv("ETCD", client.Endpoints()[0])
}

// startStore starts object storage with the bucket "backups", until the script ends, and tells the environment of it as the AWS CLI takes it.
func startStore(ts *testscript.TestScript, _ bool, _ []string) {
	store, err := objectstore.Start(context.Background(), "backups")
	ts.Check(err)
	ts.Defer(func() { ts.Check(store.Close()) })
	ts.Setenv("AWS_ENDPOINT_URL_S3", store.URL)
	ts.Setenv("AWS_REGION", objectstore.Region)
	ts.Setenv("AWS_ACCESS_KEY_ID", store.AccessKey)
	ts.Setenv("AWS_SECRET_ACCESS_KEY", store.SecretKey)
}
