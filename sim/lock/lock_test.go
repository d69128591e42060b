package lock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/seatrial/seatrial/sim/progress"
)

// holdEnv makes this binary a process that takes the lock of the file that it names, and holds it until it is killed.
const holdEnv = "SEATRIAL_TEST_HOLD_LOCK"

func TestMain(m *testing.M) {
	if path := os.Getenv(holdEnv); path != "" {
		os.Exit(hold(path))
	}
	os.Exit(m.Run())
}

func hold(path string) int {
	if _, err := Take(context.Background(), path, "thing", progress.New(os.Stderr)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("held")
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with the test, should that not kill it
	return 0
}

// startHolder starts a process that holds the lock when startHolder returns.
func startHolder(t *testing.T, path string) *exec.Cmd {
	t.Helper()
	g := gomega.NewWithT(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), holdEnv+"="+path)
	out := gbytes.NewBuffer()
	cmd.Stdout, cmd.Stderr = out, out
	_, err := cmd.StdinPipe()
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(cmd.Start()).To(gomega.Succeed())
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	g.Eventually(out, 10*time.Second).Should(gbytes.Say("held"))
	return cmd
}

// taken is what a Take in another goroutine has come to.
type taken struct {
	unlock func()
	err    error
}

// take takes the lock in another goroutine. said is the progress of it.
func take(ctx context.Context, path string) (result <-chan taken, said *gbytes.Buffer) {
	said = gbytes.NewBuffer()
	done := make(chan taken, 1)
	go func() {
		unlock, err := Take(ctx, path, `release "v1.34.4"`, progress.New(said))
		done <- taken{unlock, err}
	}()
	return done, said
}

func waiting(pid int) string {
	return fmt.Sprintf(`waiting for process %d, which is getting release "v1\.34\.4": 0s`, pid)
}

func TestTakeWaitsForAnotherProcess(t *testing.T) {
	g := gomega.NewWithT(t)
	path := filepath.Join(t.TempDir(), "not", "there", "a.lock")
	holder := startHolder(t, path)
	result, said := take(t.Context(), path)
	g.Eventually(said, 10*time.Second).Should(gbytes.Say(waiting(holder.Process.Pid)))
	g.Expect(result).NotTo(gomega.Receive(), "the lock was taken twice")

	// Killed, it has no chance to free the lock: the kernel does.
	g.Expect(holder.Process.Kill()).To(gomega.Succeed())
	var got taken
	g.Eventually(result, 10*time.Second).Should(gomega.Receive(&got))
	g.Expect(got.err).NotTo(gomega.HaveOccurred())
	defer got.unlock()
	g.Expect(os.ReadFile(path)).To(gomega.BeEquivalentTo(strconv.Itoa(os.Getpid())+"\n"), "the file names the new holder")
}

func TestTakeWaitsForAnotherHandle(t *testing.T) {
	g := gomega.NewWithT(t)
	path := filepath.Join(t.TempDir(), "a.lock")
	unlock, err := Take(t.Context(), path, "thing", progress.New(io.Discard))
	g.Expect(err).NotTo(gomega.HaveOccurred())
	result, said := take(t.Context(), path)
	g.Eventually(said, 10*time.Second).Should(gbytes.Say(waiting(os.Getpid())))
	g.Expect(result).NotTo(gomega.Receive(), "the lock was taken twice")

	unlock()
	var got taken
	g.Eventually(result, 10*time.Second).Should(gomega.Receive(&got))
	g.Expect(got.err).NotTo(gomega.HaveOccurred())
	got.unlock()
}

func TestTakeStopsWhenItsContextEnds(t *testing.T) {
	g := gomega.NewWithT(t)
	path := filepath.Join(t.TempDir(), "a.lock")
	holder := startHolder(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	result, said := take(ctx, path)
	g.Eventually(said, 10*time.Second).Should(gbytes.Say(waiting(holder.Process.Pid)))
	cancel()
	var got taken
	g.Eventually(result, 10*time.Second).Should(gomega.Receive(&got))
	g.Expect(got.err).To(gomega.MatchError(gomega.MatchRegexp(
		`^lock release "v1\.34\.4": process %d has it, after a wait of \d+s: context canceled$`, holder.Process.Pid)))
	g.Expect(errors.Is(got.err, context.Canceled)).To(gomega.BeTrue())
}

func TestTakeSaysNothingWhenNobodyHasIt(t *testing.T) {
	g := gomega.NewWithT(t)
	var out bytes.Buffer
	unlock, err := Take(t.Context(), filepath.Join(t.TempDir(), "a.lock"), "thing", progress.New(&out))
	g.Expect(err).NotTo(gomega.HaveOccurred())
	unlock()
	g.Expect(out.String()).To(gomega.BeEmpty())
}

func TestTakeSaysWhatCannotBeLocked(t *testing.T) {
	g := gomega.NewWithT(t)
	file := filepath.Join(t.TempDir(), "file")
	g.Expect(os.WriteFile(file, nil, 0o600)).To(gomega.Succeed())
	_, err := Take(t.Context(), filepath.Join(file, "a.lock"), `tool "etcd"`, progress.New(io.Discard))
	g.Expect(err).To(gomega.MatchError(gomega.MatchRegexp(`^lock tool "etcd": .*not a directory$`)))
}
