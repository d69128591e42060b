package kind

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/proc"
)

func TestRetagged(t *testing.T) {
	for name, c := range map[string]struct {
		config, want string
		tags         Tags
	}{
		"nothing to say, nothing said": {config: "dns: {}\netcd:\n  local:\n    dataDir: /var/lib/etcd\n"},
		"what was said of the version before is taken back": {
			config: "etcd:\n  local:\n    dataDir: /var/lib/etcd\n    imageTag: 3.5.31-0\n", want: "dns: {}\netcd:\n  local:\n    dataDir: /var/lib/etcd\n",
		},
		"others": {
			config: "etcd:\n  local:\n    imageTag: 3.5.31-0\n", tags: Tags{Etcd: "3.6.8-0", CoreDNS: "v1.12.2"}, want: "dns:\n  imageTag: v1.12.2\netcd:\n  local:\n    imageTag: 3.6.8-0\n",
		},
		"the same": {config: "dns: {imageTag: v1.12.2}\netcd: {local: {imageTag: 3.6.8-0}}\n", tags: Tags{Etcd: "3.6.8-0", CoreDNS: "v1.12.2"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			stored := &corev1.ConfigMap{Data: map[string]string{"ClusterConfiguration": c.config}}
			changed, err := retagged(stored, c.tags)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(changed).To(Equal(c.want != ""))
			if changed {
				g.Expect(stored.Data["ClusterConfiguration"]).To(Equal(c.want))
			}
		})
	}
	_, err := retagged(&corev1.ConfigMap{Data: map[string]string{"ClusterConfiguration": "- a list"}}, Tags{})
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("read kubeadm's configuration")))
}

func TestTagsTellKubeadm(t *testing.T) {
	g := NewWithT(t)
	g.Expect(Tags{}.patch()).To(BeEmpty())
	g.Expect(Tags{Etcd: "3.5.31-0"}.patch()).To(Equal("kind: ClusterConfiguration\netcd: {local: {imageTag: 3.5.31-0}}\n"))
}

func TestTarget(t *testing.T) {
	g := NewWithT(t)
	c := &Cluster{image: Image{Targets: []Target{{Version: "v1.34.4"}}}, spec: cluster.Spec{Name: "drain-web-1"}}
	for _, asked := range []string{"v1.34", "v1.34.4"} {
		found, err := c.target(asked)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(found.Version).To(Equal("v1.34.4"))
	}
	_, err := c.target("v1.3")
	g.Expect(err).To(MatchError(`the nodes of cluster "drain-web-1" were not prepared for v1.3`))
}

// TestRefused: what a command on the node says is the node's answer; an engine that does not is none.
func TestRefused(t *testing.T) {
	g := NewWithT(t)
	var answer *cluster.UpgradeError
	g.Expect(errors.As(refused("cp-1", Target{Version: "v1.34.4"}, "", &proc.ExitError{Name: "podman", Status: 1}), &answer)).To(BeTrue())
	g.Expect(answer.Node).To(Equal("cp-1"))
	g.Expect(errors.As(refused("cp-1", Target{}, "", errors.New("no engine")), &answer)).To(BeFalse())
	g.Expect(refused("cp-1", Target{}, "", nil)).To(Succeed())
}

func TestWithoutDropped(t *testing.T) {
	g := NewWithT(t)
	const flag = "--pod-infra-container-image=registry.k8s.io/pause:3.10"
	args, env := []string{"--node-ip=10.0.0.2", flag}, `KUBELET_KUBEADM_ARGS="--node-ip=10.0.0.2 `+flag+`"`
	g.Expect(withoutDropped(args, env, "v1.34.4")).To(Equal(args))
	g.Expect(withoutDropped(args, env, "v1.35.0")).To(Equal([]string{"--node-ip=10.0.0.2"}))
	g.Expect(withoutDropped(args, "KUBELET_KUBEADM_ARGS=", "v1.35.0")).To(Equal(args), "kubeadm does not look for it elsewhere")
}

func TestInstallKubeadm(t *testing.T) {
	g := NewWithT(t)
	f, c := fakeNode(t, "v1.34.4", `"kubeadm version --output=short") echo v1.34.4;;`)
	g.Expect(c.InstallKubeadm(t.Context(), "cp-1", "v1.34")).To(Equal("v1.34.4"))
	g.Expect(f.told()).To(ContainSubstring("install --mode=0755 --target-directory=/usr/bin /stage/v1.34.4/kubeadm\n"))
}

// TestWrongPrograms: a kubeadm or kubelet that does not run, or is of another version, is the node's answer, before anything else is touched.
func TestWrongPrograms(t *testing.T) {
	kubeadm := func(c *Cluster) error {
		_, err := c.InstallKubeadm(t.Context(), "cp-1", "v1.34")
		return err
	}
	kubelet := func(c *Cluster) error { return c.UpgradeKubelet(t.Context(), "cp-1", "v1.34") }
	for _, tc := range []struct {
		install          func(*Cluster) error
		commands, reason string
	}{
		{kubeadm, `"kubeadm "*) echo "kubeadm: Exec format error" >&2; exit 126;;`, "Exec format error"},
		{kubeadm, `"kubeadm "*) echo v1.34.3;;`, `the kubeadm installed says that it is "v1.34.3"`},
		{kubelet, `"kubelet --version") echo "kubelet: Exec format error" >&2; exit 126;;`, "Exec format error"},
		{kubelet, `"kubelet --version") echo Kubernetes v1.34.3;;`, `the kubelet installed says that it is "Kubernetes v1.34.3"`},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			g := NewWithT(t)
			f, c := fakeNode(t, "v1.34.4", tc.commands)
			err := tc.install(c)
			var answer *cluster.UpgradeError
			g.Expect(errors.As(err, &answer)).To(BeTrue(), "%v", err)
			g.Expect(answer).To(MatchError(And(ContainSubstring("node cp-1 to v1.34.4"), ContainSubstring(tc.reason))))
			g.Expect(f.told()).NotTo(ContainSubstring("systemctl"))
		})
	}
}

// TestCheckFlags: each program of the version is asked with the arguments of now. The API server of the new version does not know a gate, the kubelet of it panics over one in its file.
func TestCheckFlags(t *testing.T) {
	g := NewWithT(t)
	files := t.TempDir()
	g.Expect(os.WriteFile(filepath.Join(files, kubeadmFlags), []byte(`KUBELET_KUBEADM_ARGS="--pod-infra-container-image=pause:3"`), 0o600)).To(Succeed())
	f, c := fakeNode(t, "v1.35.1", `"ps "*) for p in "11 /usr/bin/kubelet --x" "12 kube-apiserver --y" "13 kube-controller-manager" "14 kube-scheduler"; do echo "$p"; done;;
	*"/11/cmdline") printf '/usr/bin/kubelet\0--config=/c\0--pod-infra-container-image=pause:3\0';;
	*"/1"[234]"/cmdline") printf 'it\0--feature-gates=X=true\0';;
	"tar "*) tar -C `+files+` -cf - `+kubeadmFlags+`;;
	*" kube-apiserver --feature-gates"*) echo 'Error: unrecognized feature gate: X' >&2; exit 1;;
	*"/kubelet "*) echo 'panic: unrecognized feature gate: Z' >&2; exit 2;;
	*" kube-scheduler --feature-gates"*) exit $(cat `+files+`/scheduler 2>/dev/null || echo 0);;
	`)
	g.Expect(c.CheckFlags(t.Context(), "cp-1", "v1.35")).To(ConsistOf(
		cluster.FlagCheck{Component: "kubelet", Refusal: "unrecognized feature gate: Z"},
		cluster.FlagCheck{Component: "kube-apiserver", Refusal: "unrecognized feature gate: X"},
		cluster.FlagCheck{Component: "kube-controller-manager"},
		cluster.FlagCheck{Component: "kube-scheduler"},
	))
	g.Expect(f.told()).To(ContainSubstring("/stage/v1.35.1/kubelet --config=/c --max-pods=-1\n"))
	g.Expect(f.told()).To(ContainSubstring("seatrial-flags-kube-scheduler-v1.35.1 kube-scheduler --feature-gates=X=true --version\n"), "another version's may be asked at the same time")

	g.Expect(os.WriteFile(filepath.Join(files, "scheduler"), []byte("127"), 0o600)).To(Succeed())
	_, err := c.CheckFlags(t.Context(), "cp-1", "v1.35")
	g.Expect(err).To(MatchError(ContainSubstring(`check the flags of kube-scheduler of node "cp-1"`)), "what could not be run has not answered")
}
