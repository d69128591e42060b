// Package berth is where tests of whole rehearsals run seatrial: each in a temporary folder of its own, which is also how its processes are known, and
// after each nothing may be left.
//
//	func TestMain(m *testing.M) { os.Exit(berth.Main(m)) }
//
//	b := berth.New(t)
//	out, status := b.Run("run", "--runs", b.Runs, "scenarios/drain-web")
package berth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onsi/gomega"
)

// RunTimeout bounds one command line.
const RunTimeout = 40 * time.Minute

// momentTimeout is how long a run may take to come to a moment: kubeadm upgrade apply alone took three minutes.
const momentTimeout = 6 * time.Minute

// top is the root of the repository; seatrial is the binary under test.
var top, seatrial string

// Main builds the binary and runs the tests. It is called from a package two folders below the root.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "seatrial-test-")
	if err == nil {
		defer os.RemoveAll(dir)
		top, err = filepath.Abs("../..")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	seatrial = filepath.Join(dir, "seatrial")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", seatrial, "./cmd/seatrial") //nolint:noctx // the test's own deadline ends it
	build.Dir, build.Env = top, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build seatrial: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// Berth is where one test runs seatrial.
type Berth struct {
	*gomega.WithT
	// Tmp is TMPDIR of all that is started; Runs is for the folders of the runs.
	Tmp, Runs string
	t         testing.TB
}

// New makes a berth. When the test is over nothing may be left in it.
func New(t *testing.T) *Berth {
	b := &Berth{WithT: gomega.NewWithT(t), t: t, Tmp: t.TempDir(), Runs: t.TempDir()}
	t.Cleanup(func() { b.NothingLeft(5 * time.Second) })
	return b
}

// Command makes a seatrial command line, and says where its output goes.
func (b *Berth) Command(ctx context.Context, args ...string) (*exec.Cmd, *bytes.Buffer) {
	c := exec.CommandContext(ctx, seatrial, args...)
	c.Dir = top
	c.Env = append(os.Environ(), "TMPDIR="+b.Tmp)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	return c, &out
}

// Run runs one to its end, and returns its output and exit status.
func (b *Berth) Run(args ...string) (string, int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.t.Context()), RunTimeout) // a clean-up runs it too
	defer cancel()
	c, out := b.Command(ctx, args...)
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.Expect(err).NotTo(gomega.HaveOccurred())
	}
	return out.String(), c.ProcessState.ExitCode()
}

// RunFolders are the folders of the runs so far.
func (b *Berth) RunFolders() []string {
	folders, err := filepath.Glob(filepath.Join(b.Runs, "*"))
	b.Expect(err).NotTo(gomega.HaveOccurred())
	return folders
}

// secret is what no file of a run's folder may have in it: keys and certificates in PEM, also as JSON and YAML write them in base64, and without their first line; tokens of service accounts, and keys of
// object storage (rand.Text).
var secret = regexp.MustCompile(`-----BEGIN |LS0tLS1CRUdJTi|\bMI[A-Z][A-Za-z0-9+/]{60}|\bMHcCAQEE|eyJhbGciOi|\b[A-Z2-7]{26}\b|AWS_SECRET_ACCESS_KEY"?[:=] *"?[A-Za-z0-9+/]{20}`)

// bootstrapToken is what kubeadm join shows, and eventName what looks alike: an Event's object and its time, in hexadecimal digits.
// https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/#token-format
var (
	bootstrapToken = regexp.MustCompile(`\b[a-z0-9]{6}\.[a-z0-9]{16}\b`)
	eventName      = regexp.MustCompile(`\.1[0-9a-f]{15}$`)
)

func hasSecret(content []byte) bool {
	return secret.Match(content) || slices.ContainsFunc(bootstrapToken.FindAll(content, -1), func(token []byte) bool { return !eventName.Match(token) })
}

// Secrets looks through all that a run left, and lists the files with one.
func (b *Berth) Secrets(folder string) []string {
	b.t.Helper()
	found, looked := []string{}, 0
	b.Expect(filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if filepath.Base(path) != "kubeconfig" && hasSecret(content) { // a redacted one has the authority's certificate, and nobody's key
			found = append(found, path)
		}
		looked++
		return err
	})).To(gomega.Succeed())
	b.Expect(looked).To(gomega.BeNumerically(">", 5), "there is something to look through")
	return found
}

// shared is the name server of all of podman's networks: it has the environment of whoever made the first, and ends with the last. NothingInEngine looks whether it still serves one of ours.
const shared = "aardvark-dns"

// processes lists what this berth's live processes are: the program's name and its first argument.
func (b *Berth) processes() []string {
	var found []string
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environs {
		environ, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(environ, []byte("TMPDIR="+b.Tmp+"\x00")) {
			continue
		}
		cmdline, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if err == nil && len(cmdline) > 0 { // a zombie has none
			argv := strings.SplitN(string(cmdline), "\x00", 3)
			if name := filepath.Base(argv[0]); name != shared {
				found = append(found, name+" "+argv[1])
			}
		}
	}
	return found
}

// NothingLeft is the promise: no process, and so no port, and no temporary folder.
func (b *Berth) NothingLeft(within time.Duration) {
	b.t.Helper()
	b.Eventually(b.processes, within, 50*time.Millisecond).Should(gomega.BeEmpty())
	b.Eventually(func() ([]string, error) { return filepath.Glob(filepath.Join(b.Tmp, "*")) }, time.Second, 50*time.Millisecond).Should(gomega.BeEmpty())
}

// Reached tells whether a run has come to a moment: a process ("kube-apiserver", or the entry "_etcd" of this binary) is there, or an op ("op drain") has begun.
func (b *Berth) Reached(moment string) bool {
	if op, ok := strings.CutPrefix(moment, "op "); ok {
		journals, _ := filepath.Glob(filepath.Join(b.Runs, "*", "journal.jsonl"))
		for _, path := range journals {
			content, err := os.ReadFile(path)
			if err == nil && strings.Contains(string(content), `"op":"`+op) {
				return true
			}
		}
		return false
	}
	for _, p := range b.processes() {
		if name, first, _ := strings.Cut(p, " "); name == moment || first == moment {
			return true
		}
	}
	return false
}

// Ended tells whether the journal of a run has the op as ended.
func (b *Berth) Ended(op string) bool {
	for _, folder := range b.RunFolders() {
		content, err := os.ReadFile(filepath.Join(folder, "journal.jsonl"))
		if err == nil && regexp.MustCompile(`"op":"`+regexp.QuoteMeta(op)+`","state":"(done|failed|errored)"`).Match(content) {
			return true
		}
	}
	return false
}

// Interrupt starts a run, presses Ctrl-C at a moment, and returns the output and the exit status.
func (b *Berth) Interrupt(reached func() bool, args ...string) (string, int) {
	ctx, cancel := context.WithTimeout(b.t.Context(), RunTimeout)
	defer cancel()
	c, out := b.Command(ctx, args...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	b.Expect(c.Start()).To(gomega.Succeed())
	b.Eventually(reached, momentTimeout, 5*time.Millisecond).Should(gomega.BeTrue())
	b.Expect(syscall.Kill(-c.Process.Pid, syscall.SIGINT)).To(gomega.Succeed(), "the terminal signals the whole foreground group")
	_ = c.Wait()
	return out.String(), c.ProcessState.ExitCode()
}

// Kill starts a run and kills it with SIGKILL at a moment.
func (b *Berth) Kill(reached func() bool, args ...string) {
	ctx, cancel := context.WithTimeout(b.t.Context(), RunTimeout)
	defer cancel()
	c, out := b.Command(ctx, args...)
	b.Expect(c.Start()).To(gomega.Succeed())
	b.Eventually(reached, momentTimeout, 5*time.Millisecond).Should(gomega.BeTrue(), "never came to the moment: %s", out)
	b.Expect(c.Process.Kill()).To(gomega.Succeed())
	_ = c.Wait()
}
