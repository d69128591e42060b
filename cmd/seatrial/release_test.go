package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/seatrial/seatrial/sim/proc"
	"github.com/seatrial/seatrial/sim/release"
)

// runRelease runs `seatrial release ARGS` on a cache with v1.34.4's kubectl.
func runRelease(t *testing.T, args ...string) (folder, stdout, stderr string, err error) {
	t.Helper()
	dir := t.TempDir()
	folder = filepath.Join(dir, "linux-"+runtime.GOARCH, "v1.34.4")
	kubectl := filepath.Join(folder, "kubectl")
	manifest := fmt.Sprintf(`{"kubectl": {"size": 7, "sha256": "%x", "source": "download"}}`, sha256.Sum256([]byte("kubectl")))
	if err := errors.Join(
		os.MkdirAll(folder, 0o755),
		os.WriteFile(kubectl, []byte("kubectl"), 0o755),
		os.WriteFile(filepath.Join(folder, "manifest.json"), []byte(manifest), 0o644),
	); err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	cmd := newReleaseCommand(releaseOptions{
		Stdout: &out, Stderr: &errOut,
		Supervisor: func(context.Context) (*proc.Supervisor, error) { return nil, errors.New("the cache was not enough") },
		Store: func(o release.Options) (*release.Store, error) {
			o.Dir = dir
			o.BaseURL = "http://127.0.0.1:1"
			return release.NewStore(o)
		},
	})
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err = cmd.ExecuteContext(t.Context())
	return folder, out.String(), errOut.String(), err
}

func TestReleaseGet(t *testing.T) {
	folder, stdout, stderr, err := runRelease(t, "get", "v1.34", "--components", "kubectl")
	if err != nil || stdout != folder+"\n" || stderr != "" {
		t.Errorf("got %q, %q, %v", stdout, stderr, err)
	}
	folder, stdout, _, err = runRelease(t, "get", "v1.34.4", "--components", "kubectl", "-o", "json")
	var r release.Release
	if err := errors.Join(err, json.Unmarshal([]byte(stdout), &r)); err != nil {
		t.Fatal(err)
	}
	if r.Version != "v1.34.4" || r.Dir != folder || r.Components["kubectl"].Path != filepath.Join(folder, "kubectl") {
		t.Errorf("got %+v", r)
	}
}

func TestReleaseGetErrors(t *testing.T) {
	input := (*release.InputError)(nil)
	for _, args := range [][]string{
		{"get", "1.34"},
		{"get", "v1.34", "--components", "etcd"},
		{"get", "v1.34", "-o", "yaml"},
		{"list", "-o", "yaml"},
	} {
		if _, stdout, _, err := runRelease(t, args...); !errors.As(err, &input) || stdout != "" {
			t.Errorf("%q: got %q, %v", args, stdout, err)
		}
	}
	_, stdout, stderr, err := runRelease(t, "get", "v1.34")
	if err == nil || !strings.Contains(err.Error(), "the cache was not enough") || stdout != "" {
		t.Errorf("got %q, %q, %v", stdout, stderr, err)
	}
}

func TestReleaseList(t *testing.T) {
	folder, stdout, _, err := runRelease(t, "list")
	want := "VERSION  COMPONENT  SOURCE    PATH\n" +
		"v1.34.4  kubectl    download  " + folder + "/kubectl\n"
	if err != nil || stdout != want {
		t.Errorf("got %v and\n%s\nwant\n%s", err, stdout, want)
	}
	_, stdout, _, err = runRelease(t, "list", "-o", "json")
	var all []release.Release
	if err := errors.Join(err, json.Unmarshal([]byte(stdout), &all)); err != nil || len(all) != 1 {
		t.Errorf("got %+v, %v", all, err)
	}
}
