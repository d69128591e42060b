package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/embedded"
	"github.com/seatrial/seatrial/sim/proc"
)

func TestMain(m *testing.M) {
	proc.Dispatch(map[string]func([]string) int{
		proc.ReaperEntry:   proc.ReaperMain,
		embedded.EtcdEntry: embedded.EtcdMain,
	})
	os.Exit(m.Run())
}

// releaseDir is a folder of real binaries, or the test is skipped.
func releaseDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SEATRIAL_TEST_RELEASE_DIR")
	if dir == "" {
		t.Skip("SKIP: SEATRIAL_TEST_RELEASE_DIR names no folder with kube-apiserver, kube-controller-manager and kube-scheduler")
	}
	return dir
}

// progress writes each line of progress to the test's log.
type progress struct{ t *testing.T }

func (p progress) Write(b []byte) (int, error) {
	p.t.Log(strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}

// fixture is what the tests need to make a cluster.
type fixture struct {
	provider *embedded.Provider
	spec     cluster.Spec
	// others are the folders of versions beside that of the cluster.
	others map[string]string
}

func newFixture(t *testing.T, dir string, planes, workers int) fixture {
	t.Helper()
	supervisor, err := proc.NewSupervisor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := supervisor.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	state, err := supervisor.TempDir(t.TempDir(), "state-*")
	if err != nil {
		t.Fatal(err)
	}
	others := map[string]string{}
	releases := func(_ context.Context, wanted string, _ []string) (embedded.Release, error) {
		if other, ok := others[wanted]; ok {
			return embedded.Release{Version: wanted, Dir: other}, nil
		}
		return embedded.Release{Version: version(dir), Dir: dir}, nil
	}
	return fixture{
		others:   others,
		provider: embedded.New(embedded.Options{Supervisor: supervisor, Releases: releases, Seed: 1}),
		spec: cluster.Spec{
			Name: "test", KubernetesVersion: "v1.34", ControlPlanes: planes, Workers: workers,
			Dir: filepath.Join(t.TempDir(), "cluster"), StateDir: state, Progress: progress{t},
		},
	}
}

// version asks the API server of a folder for its version.
func version(dir string) string {
	out, err := exec.Command(filepath.Join(dir, "kube-apiserver"), "--version").Output()
	if err != nil {
		return "v1.34.0"
	}
	return strings.TrimSpace(strings.TrimPrefix(string(out), "Kubernetes "))
}

func (f fixture) create(t *testing.T) *embedded.Cluster {
	t.Helper()
	c, err := f.provider.Create(t.Context(), f.spec)
	if err != nil {
		t.Fatal(err)
	}
	closed := c.(*embedded.Cluster)
	t.Cleanup(func() {
		began := time.Now()
		if err := closed.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		t.Logf("closed in %s", time.Since(began).Round(time.Millisecond))
		f.expectNothingLeft(t)
	})
	return closed
}

// expectNothingLeft looks for files of the state folder, and for processes that were started with its path.
func (f fixture) expectNothingLeft(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	entries, err := os.ReadDir(f.spec.StateDir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(entries).To(BeEmpty())
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	g.Expect(err).NotTo(HaveOccurred())
	for _, line := range lines {
		argv, _ := os.ReadFile(line)
		g.Expect(string(argv)).NotTo(ContainSubstring(f.spec.StateDir))
	}
}

// web is a Deployment and its Service.
func web(t *testing.T, client kubernetes.Interface, replicas int32) {
	t.Helper()
	g := NewWithT(t)
	labels := map[string]string{"app": "web"}
	_, err := client.AppsV1().Deployments("default").Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1"}}},
			},
		},
	}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	_, err = client.CoreV1().Services("default").Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}}},
	}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
}

func readyReplicas(ctx context.Context, client kubernetes.Interface, namespace, name string) func() (int32, error) {
	return func() (int32, error) {
		d, err := client.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return 0, err
		}
		return d.Status.ReadyReplicas, nil
	}
}

func TestOneControlPlane(t *testing.T) {
	t.Parallel() // it mostly waits
	g := NewWithT(t)
	f := newFixture(t, releaseDir(t), 1, 2)
	c := f.create(t)
	client := kubernetes.NewForConfigOrDie(c.RESTConfig())

	g.Expect(c.Nodes()).To(Equal([]cluster.Node{
		{Name: "cp-1", Role: cluster.ControlPlane}, {Name: "worker-1", Role: cluster.Worker}, {Name: "worker-2", Role: cluster.Worker},
	}))
	g.Expect(c.APIServers()).To(HaveLen(1))
	version, err := client.Discovery().ServerVersion()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.Version()).To(Equal(version.GitVersion))

	web(t, client, 2)
	g.Eventually(readyReplicas(t.Context(), client, "default", "web"), 30*time.Second).Should(BeEquivalentTo(2))
	g.Eventually(readyReplicas(t.Context(), client, "kube-system", "coredns"), 30*time.Second).Should(BeEquivalentTo(2))
	for _, component := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		pod := func() (corev1.PodPhase, error) {
			p, err := client.CoreV1().Pods("kube-system").Get(t.Context(), component+"-cp-1", metav1.GetOptions{})
			if err != nil {
				return "", err
			}
			return p.Status.Phase, nil
		}
		g.Eventually(pod, 30*time.Second).Should(Equal(corev1.PodRunning), component)
		g.Expect(filepath.Join(f.spec.Dir, "logs", component+"-cp-1.log")).To(BeARegularFile())
	}
	proxies := func() (int32, error) {
		d, err := client.AppsV1().DaemonSets("kube-system").Get(t.Context(), "kube-proxy", metav1.GetOptions{})
		if err != nil {
			return 0, err
		}
		return d.Status.NumberReady, nil
	}
	g.Eventually(proxies, 30*time.Second).Should(BeEquivalentTo(3))
	expectRequests(t, c)
	g.Expect(c.Restarts(t.Context())).To(BeEmpty())
	expectNoSecrets(t, f.spec.Dir)
}

func expectRequests(t *testing.T, c *embedded.Cluster) {
	t.Helper()
	g := NewWithT(t)
	port := cluster.ServicePort{Namespace: "default", Name: "web", Port: 80}
	answered := map[string]bool{}
	g.Eventually(func() (int, error) {
		pod, err := c.Request(t.Context(), port)
		if err == nil {
			answered[pod] = true
		}
		return len(answered), err
	}, 10*time.Second, 10*time.Millisecond).Should(Equal(2))
	port.Port = 81
	_, err := c.Request(t.Context(), port)
	g.Expect(err).To(MatchError(`request to service "default/web" port 81: the service has no such port`))
	_, err = c.Request(t.Context(), cluster.ServicePort{Namespace: "default", Name: "nobody", Port: 80})
	g.Expect(err).To(MatchError(ContainSubstring("not found")))
}

// expectNoSecrets looks for keys in the folder that outlives the cluster.
func expectNoSecrets(t *testing.T, dir string) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		g.Expect(string(data)).NotTo(ContainSubstring("PRIVATE KEY"), path)
		g.Expect(string(data)).NotTo(ContainSubstring("client-key-data"), path)
		return err
	})).To(Succeed())
	g.Expect(filepath.Join(dir, "kubeconfig")).To(BeARegularFile())
}

func TestThreeControlPlanesSurviveThePowerCutOfOne(t *testing.T) {
	t.Parallel() // it mostly waits
	g := NewWithT(t)
	c := newFixture(t, releaseDir(t), 3, 1).create(t)
	client := kubernetes.NewForConfigOrDie(c.RESTConfig())
	g.Expect(c.APIServers()).To(HaveLen(3))
	readyz := func(node int) func() error {
		direct := kubernetes.NewForConfigOrDie(c.APIServers()[node].Config)
		return func() error {
			return direct.Discovery().RESTClient().Get().AbsPath("/readyz").Timeout(time.Second).Do(t.Context()).Error()
		}
	}

	g.Expect(c.PowerOff(t.Context(), "cp-1")).To(Succeed())
	g.Expect(readyz(0)()).NotTo(Succeed())
	g.Eventually(readyz(1), 20*time.Second).Should(Succeed())
	web(t, client, 2)
	// The lease of a controller manager or scheduler that was on the node runs out after 15 seconds.
	g.Eventually(readyReplicas(t.Context(), client, "default", "web"), 60*time.Second).Should(BeEquivalentTo(2))

	g.Expect(c.PowerOn(t.Context(), "cp-1")).To(Succeed())
	g.Eventually(readyz(0), 60*time.Second).Should(Succeed())
	g.Expect(c.PowerOff(t.Context(), "nobody")).To(MatchError(ContainSubstring("nobody")))
}

// broken is a copy of the release in which one component is a script.
func broken(t *testing.T, component, script string) string {
	t.Helper()
	from, dir := releaseDir(t), t.TempDir()
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		if err := os.Symlink(filepath.Join(from, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, component)
	if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestComponentThatEndsAtStart(t *testing.T) {
	for _, component := range []string{"kube-scheduler", "kube-apiserver"} {
		t.Run(component, func(t *testing.T) {
			g := NewWithT(t)
			f := newFixture(t, broken(t, component, "i=1; while [ $i -le 60 ]; do echo line $i >&2; i=$((i+1)); done; exit 3\n"), 1, 1)
			began := time.Now()
			_, err := f.provider.Create(t.Context(), f.spec)
			g.Expect(time.Since(began)).To(BeNumerically("<", 30*time.Second))
			var exit *proc.ExitError
			g.Expect(errors.As(err, &exit)).To(BeTrue(), fmt.Sprint(err))
			g.Expect(exit.Name).To(Equal(component + " cp-1"))
			g.Expect(exit.Status).To(Equal(3))
			g.Expect(exit.LastLines).To(HaveLen(50))
			g.Expect(err.Error()).To(HavePrefix(`create cluster "test": process "` + component + ` cp-1" exited with status 3; its last 50 lines:`))
			f.expectNothingLeft(t)
		})
	}
}

func TestComponentThatEndsLaterIsStartedAgain(t *testing.T) {
	t.Parallel() // it mostly waits
	g := NewWithT(t)
	real := filepath.Join(releaseDir(t), "kube-scheduler")
	pidFile := filepath.Join(t.TempDir(), "pid")
	c := newFixture(t, broken(t, "kube-scheduler", fmt.Sprintf("echo $$ >%q\nexec %q \"$@\"\n", pidFile, real)), 1, 0).create(t)
	pid := func() string {
		data, _ := os.ReadFile(pidFile)
		return strings.TrimSpace(string(data))
	}
	first := pid()
	g.Expect(exec.Command("kill", "-9", first).Run()).To(Succeed())
	g.Eventually(c.Restarts, 10*time.Second).WithContext(t.Context()).Should(HaveLen(1))
	restarts, err := c.Restarts(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(restarts[0].Component).To(Equal("kube-scheduler"))
	g.Expect(restarts[0].Err).To(MatchError(ContainSubstring("signal 9")))
	g.Eventually(pid, 10*time.Second).ShouldNot(Equal(first))
}

func TestCreateCanBeInterrupted(t *testing.T) {
	g := NewWithT(t)
	f := newFixture(t, releaseDir(t), 1, 0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := f.provider.Create(ctx, f.spec)
		ended <- err
	}()
	// An API server that has said something is being waited for, and takes a while yet.
	g.Eventually(func() ([]byte, error) {
		return os.ReadFile(filepath.Join(f.spec.Dir, "logs", "kube-apiserver-cp-1.log"))
	}, time.Minute, 5*time.Millisecond).ShouldNot(BeEmpty())
	cancel()
	var err error
	g.Eventually(ended, time.Minute).Should(Receive(&err))
	g.Expect(err).To(And(MatchError(context.Canceled), MatchError(ContainSubstring("last seen"))))
	f.expectNothingLeft(t)
}

func TestCreateRefusesAnEvenNumber(t *testing.T) {
	g := NewWithT(t)
	f := newFixture(t, t.TempDir(), 2, -1)
	_, err := f.provider.Create(t.Context(), f.spec)
	g.Expect(err).To(MatchError(And(ContainSubstring("2 control planes"), ContainSubstring("-1 workers"))))
}

func TestHas(t *testing.T) {
	g := NewWithT(t)
	p := embedded.New(embedded.Options{})
	g.Expect(p.Name()).To(Equal("embedded"))
	g.Expect(p.Has(cluster.CapPower)).To(BeTrue())
	g.Expect(p.Has(cluster.CapService)).To(BeTrue())
	g.Expect(p.Has("teleport")).To(BeFalse())
}
