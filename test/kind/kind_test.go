// Package kind tests whole rehearsals on kind clusters through the binary. Where no engine works, each test says SKIP and why.
package kind

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/certs"
	"github.com/seatrial/seatrial/harness/trace"
	"github.com/seatrial/seatrial/test/berth"
)

func TestMain(m *testing.M) { os.Exit(berth.Main(m)) }

// newBerth makes a berth with an engine. When the test is over the engine has nothing of its runs either.
func newBerth(t *testing.T) *berth.Berth {
	t.Helper()
	berth.NeedEngine(t)
	b := berth.New(t)
	t.Cleanup(func() { b.NothingInEngine(volumesGone) })
	return b
}

const (
	// containersGone is when nothing runs any more of a run that was killed.
	containersGone = 5 * time.Second
	// volumesGone is when its nodes' volumes are removed too, which takes the engine, and so the reaper, a few seconds more.
	volumesGone = 10 * time.Second
)

// TestKilled kills seatrial with SIGKILL while kind makes the containers, while kubeadm runs in them, and in the middle of a drain. Five seconds later no container
// is left, and soon after nothing at all.
func TestKilled(t *testing.T) {
	for moment, reached := range map[string]func(*berth.Berth) bool{
		"first container": func(b *berth.Berth) bool { return len(b.Containers()) > 0 },
		"kubeadm":         func(b *berth.Berth) bool { return b.InNode("kubeadm") },
		"drain":           func(b *berth.Berth) bool { return b.Reached("op drain") },
	} {
		t.Run(moment, func(t *testing.T) {
			b := newBerth(t)
			b.Kill(func() bool { return reached(b) }, "run", "--provider", "kind", "--runs", b.Runs, "scenarios/drain-web")
			b.Eventually(b.Containers, containersGone, 200*time.Millisecond).Should(BeEmpty())
			b.NothingInEngine(volumesGone - containersGone)
			b.NothingLeft(time.Second)
		})
	}
}

// TestInterruptedCreate presses Ctrl-C while kubeadm runs: clean-up, reports, exit status 130.
func TestInterruptedCreate(t *testing.T) {
	b := newBerth(t)
	out, status := b.Interrupt(func() bool { return b.InNode("kubeadm") }, "run", "--provider", "kind", "--runs", b.Runs, "scenarios/drain-web")
	b.Expect(status).To(Equal(130), out)
	b.Expect(out).To(ContainSubstring("interrupted"))
	for _, folder := range b.RunFolders() {
		b.Expect(filepath.Join(folder, "junit.xml")).To(BeAnExistingFile())
	}
	b.NothingInEngine(time.Second)
}

// TestCronJob has a CronJob's pod take a backup, and restores a control plane from it.
func TestCronJob(t *testing.T) {
	b := newBerth(t)
	out, status := b.Run("test", "--provider", "kind", "--runs", b.Runs, "scenarios/backup-cronjob")
	t.Log(out)
	b.Expect(status).To(Equal(0))
	b.Expect(b.Secrets(b.RunFolders()[0])).To(BeEmpty(), "its pod has the keys of object storage in its environment")
}

// TestSideBySide runs two rehearsals at once: names, networks and ports apart. Each fails as it must. On two cores requests may wait for a second while the other cluster is made, so an outage
// may be found besides; test/conformance looks that there is exactly what is expected.
func TestSideBySide(t *testing.T) {
	t.Run("kept", kept)
	t.Run("removed", func(t *testing.T) {
		t.Parallel()
		b := newBerth(t)
		out, status := b.Run("run", "--provider", "kind", "--runs", b.Runs, "scenarios/known-bad/bare-pod-forced")
		b.Expect(status).To(Equal(1), out)
		b.Expect(out).To(MatchRegexp("broken: .*drain/no_orphan_deleted"))
	})
}

// TestNodesVanish kills the containers of all nodes in the middle of a run, as an engine that dies does: the run ends, not green, and is cleaned up.
func TestNodesVanish(t *testing.T) {
	b := newBerth(t)
	type outcome struct {
		out    string
		status int
	}
	ended := make(chan outcome, 1)
	go func() {
		out, status := b.Run("run", "--provider", "kind", "--runs", b.Runs, "scenarios/known-bad/budget-allows-nothing-drained")
		ended <- outcome{out, status}
	}()
	b.Eventually(func() bool { return b.Reached("op drain/drain") }, 3*time.Minute, 50*time.Millisecond).Should(BeTrue())
	for _, container := range b.Containers() {
		b.Expect(exec.Command("podman", "kill", container).Run()).To(Succeed())
	}
	var o outcome
	b.Eventually(ended, 3*time.Minute).Should(Receive(&o))
	b.Expect(o.status).To(Equal(3), o.out)
	b.Expect(o.out).To(And(ContainSubstring("ERRORED"), ContainSubstring("op \"drain/drain\""), ContainSubstring("connection refused")), "it says what broke")
}

// TestResumed upgrades a cluster of one control plane and two workers, and kills seatrial with SIGKILL after some of the operations: resumed each time, the upgrade passes, and nothing is done twice.
func TestResumed(t *testing.T) {
	if os.Getenv("SEATRIAL_CONFORMANCE") != "all" {
		t.Skip("SKIP: an upgrade of containers takes minutes; `make conformance` runs it")
	}
	b := newBerth(t)
	wanted := []string{"roll/cp-1/apply", "roll/worker-1/drain", "roll/worker-2/kubelet"}
	b.Resumed(func(op string) bool { return slices.Contains(wanted, op) }, func() { b.Expect(b.Containers()).NotTo(BeEmpty(), "its cluster outlives it") },
		"run", "--provider", "kind", "--resumable", "--runs", b.Runs, "scenarios/upgrade")
}

// TestCertificates renews the certificates of a control plane: what seatrial found in its files is what kubeadm certs check-expiration says, for all that it lists, and there is more that it does not. No key, token or
// certificate body is in what the run leaves.
func TestCertificates(t *testing.T) {
	b := newBerth(t)
	out, status := b.Run("run", "--provider", "kind", "--runs", b.Runs, "scenarios/rotate-certificates")
	b.Expect(status).To(Equal(0), out)
	folder := b.RunFolders()[0]
	b.Expect(b.Secrets(folder)).To(BeEmpty())

	file, err := os.Open(filepath.Join(folder, "trace.jsonl"))
	b.Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	events, err := trace.ReadAll(file)
	b.Expect(err).NotTo(HaveOccurred())
	var listed struct {
		Certificates, CertificateAuthorities []struct {
			Name           string
			ExpirationDate time.Time
		}
	}
	found := map[string]time.Time{} // when what lies in files ends, as was seen last
	places := map[string]bool{}     // where else there is something
	for _, e := range events {
		switch {
		case e.Kind == trace.KindCommand:
			var c trace.CommandData
			b.Expect(e.Unmarshal(&c)).To(Succeed())
			if slices.Contains(c.Argv, "check-expiration") {
				b.Expect(json.Unmarshal([]byte(c.Stdout[strings.Index(c.Stdout, "{"):]), &listed)).To(Succeed())
			}
		case e.Kind == trace.KindFact && strings.HasPrefix(e.Subject, "certificate/"):
			var c trace.CertificateData
			b.Expect(e.Unmarshal(&c)).To(Succeed())
			if c.Node == "cp-1" && c.Component == "" && c.Part == "" {
				found[c.Path] = c.NotAfter.UTC()
			}
			places[c.ID()] = true
		}
	}
	all := slices.Concat(listed.Certificates, listed.CertificateAuthorities)
	b.Expect(len(all)).To(BeNumerically(">", 10), "kubeadm lists eleven certificates and three authorities")
	for _, c := range all {
		if !c.ExpirationDate.IsZero() {
			b.Expect(found).To(HaveKeyWithValue(certs.FileOf(c.Name), c.ExpirationDate.UTC()), c.Name)
		}
	}
	for _, more := range []string{
		"certificate/worker-1/var/lib/kubelet/pki/kubelet-client-current.pem", "certificate/worker-1/kubelet", "certificate/cp-1/etcd-peer", "certificate/cp-1/kube-scheduler",
		"certificate/cp-1/kube-scheduler/etc/kubernetes/scheduler.conf",
	} {
		b.Expect(places).To(HaveKey(more), "kubeadm certs check-expiration does not show it")
	}
}

// kept keeps the cluster of a run that fails: it can be reached as the report says, outlives us, and is removed by name, and not before.
func kept(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	t.Cleanup(func() { // whatever failed above is the last that is said, and nothing stays
		for _, folder := range b.RunFolders() {
			b.Run("gc", filepath.Base(folder))
		}
	})
	out, status := b.Run("run", "--provider", "kind", "--keep", "on-failure", "--runs", b.Runs, "scenarios/known-bad/left-cordoned")
	b.Expect(status).To(Equal(1), out)
	b.Expect(out).To(MatchRegexp("broken: .*node/uncordoned_at_end"))
	b.Expect(b.RunFolders()).To(HaveLen(1))
	name := filepath.Base(b.RunFolders()[0])
	b.Expect(out).To(ContainSubstring("seatrial gc " + name))
	b.Expect(b.Containers()).To(HaveLen(4))

	summary, err := os.ReadFile(filepath.Join(b.RunFolders()[0], "verdict.json"))
	b.Expect(err).NotTo(HaveOccurred())
	var verdict struct{ Kept []string }
	b.Expect(json.Unmarshal(summary, &verdict)).To(Succeed())
	b.Expect(verdict.Kept).NotTo(BeEmpty())
	nodes, err := exec.Command("podman", "exec", name+"-control-plane", "kubectl", "get", "nodes", "worker-1", "-o", "jsonpath={.spec.unschedulable}").Output()
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(string(nodes)).To(Equal("true"), "the node is as the failed run left it")
	expectLogs(b)
	out, status = b.Run("roll", "check", "--kubeconfig", kubeconfigOf(t, name+"-control-plane"))
	b.Expect(status).To(Equal(0), out)
	b.Expect(out).To(HavePrefix("nodes: 3, at a time: 1: there is a way"))

	out, status = b.Run("gc")
	b.Expect(status).To(Equal(0), out)
	b.Expect(b.Containers()).To(HaveLen(4), "it was kept, and not named")
	out, status = b.Run("gc", name)
	b.Expect(status).To(Equal(0), out)
	b.Expect(out).To(ContainSubstring(fmt.Sprintf("removed cluster %s", name)))
}

// kubeconfigOf writes the kubeconfig of the administrator of a control plane's container, with an address that this machine reaches.
func kubeconfigOf(t *testing.T, container string) string {
	g := NewWithT(t)
	config, err := exec.Command("podman", "exec", container, "cat", "/etc/kubernetes/admin.conf").Output()
	g.Expect(err).NotTo(HaveOccurred())
	address, err := exec.Command("podman", "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container).Output()
	g.Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(t.TempDir(), "admin.conf")
	server := regexp.MustCompile(`server: .*`).ReplaceAll(config, fmt.Appendf(nil, "server: https://%s:6443", bytes.TrimSpace(address)))
	g.Expect(os.WriteFile(path, server, 0o600)).To(Succeed())
	return path
}

// expectLogs looks that the logs of nodes and components are in the run's folder, and no key.
func expectLogs(b *berth.Berth) {
	dir := filepath.Join(b.RunFolders()[0], "cluster")
	for _, name := range []string{"cp-1/kubelet.log", "cp-1/containerd.log", "cp-1/console.log", "worker-1/kubelet.log", "kubeconfig"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		b.Expect(err).NotTo(HaveOccurred())
		b.Expect(content).NotTo(BeEmpty(), name)
	}
	apiServer, err := filepath.Glob(filepath.Join(dir, "cp-1", "pods", "kube-system_kube-apiserver-cp-1_*"))
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(apiServer).NotTo(BeEmpty())
	kubeconfig, err := os.ReadFile(filepath.Join(dir, "kubeconfig"))
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(string(kubeconfig)).NotTo(ContainSubstring("client-key-data"))
}
