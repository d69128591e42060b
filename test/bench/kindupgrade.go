package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/seatrial/seatrial/harness/trace"
	"github.com/seatrial/seatrial/sim/nodeimage"
)

const limitKindUpgrade = 1.1

// upgradeScenario is scenarios/upgrade, without what only we do: asking services and judging. The cluster of the peer is made by the same scenario with a first step that fails, after which
// nothing more is done and the cluster is kept: prepared for the upgrade, as ours was, and not upgraded.
const (
	upgradeScenario = `apiVersion: seatrial.dev/v1alpha1
kind: Scenario
metadata: {name: %s}
spec:
  cluster: {kubernetesVersion: v1.33, controlPlanes: 1, workers: 2}
  objects: [{file: web.yaml}]
  steps:
%s  - {id: roll, upgrade: {to: v1.34, drain: {timeout: 2m}}}
  policies:
    params: {availability/api_outage: {max: 3m}}
`
	notUpgraded    = "  - {id: stop, wait: {object: node/worker-1, for: condition=Ready=False, timeout: 1s}}\n"
	upgradeObjects = "scenarios/upgrade/web.yaml"
)

// measureUpgrade upgrades clusters of one control plane and two workers by turns with our step and with a script of the same commands. Clients of an API server that was away look again
// after up to a minute, which each upgrade may meet or miss: the medians of several count.
func (k *kindBench) measureUpgrade(ctx context.Context) ([]row, error) {
	var ours, theirs []time.Duration
	for range k.rounds {
		a, b, err := k.upgradeRound(ctx)
		if err != nil {
			return nil, err
		}
		k.say("upgrade of 1 control plane and 2 workers: steps took %.1f s, the script %.1f s", a.Seconds(), b.Seconds())
		ours, theirs = append(ours, a), append(theirs, b)
	}
	peer := took(median(theirs))
	return []row{{"kind: upgrade of 1 control plane and 2 workers", took(median(ours)), &peer, limitKindUpgrade}}, nil
}

// upgradeRound upgrades one cluster with our step and then, when that is gone, another with the script.
func (k *kindBench) upgradeRound(ctx context.Context) (ours, theirs time.Duration, err error) {
	s := &upgradeScript{bench: k}
	const upgraded, prepared = "bench-upgrade", "bench-script"
	err = k.onKept(ctx, upgraded, fmt.Sprintf(upgradeScenario, upgraded, ""), upgradeObjects, 0, func(r rehearsal) error {
		ours = r.stepsTook()
		return errors.Join(k.sayOps(r), s.learn(ctx, r.name))
	})
	if err != nil {
		return 0, 0, err
	}
	err = k.onKept(ctx, prepared, fmt.Sprintf(upgradeScenario, prepared, notUpgraded), upgradeObjects, 1, func(r rehearsal) (err error) {
		if err := s.prepare(ctx, r.name); err != nil {
			return err
		}
		theirs, err = s.run(ctx)
		return err
	})
	return ours, theirs, err
}

// worthSaying is how long a part of an upgrade took that is reported.
const worthSaying = 2 * time.Second

// sayOps reports what the operations of a rehearsal took.
func (k *kindBench) sayOps(r rehearsal) error {
	for _, e := range r.events {
		if e.Kind != trace.KindOp || e.Change != trace.OpDone {
			continue
		}
		var d trace.OpData
		if err := e.Unmarshal(&d); err != nil {
			return err
		}
		if d.Seconds >= worthSaying.Seconds() {
			k.say("ours: %s took %.1f s", e.Op, d.Seconds)
		}
	}
	return nil
}

// upgradeScript is the runbook as somebody would write it down, commands and waits.
// https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/
type upgradeScript struct {
	bench   *kindBench
	cluster string
	target  string // exact
	kubectl func(args ...string) error
	// images is kubeadm's configuration of which images of etcd and CoreDNS there are, as our upgrade left it.
	images map[string]any
	client kubernetes.Interface
}

// learn looks what our upgrade did to its cluster, for the script to do the same: the exact version and the images.
func (s *upgradeScript) learn(ctx context.Context, upgraded string) error {
	kubeconfig, err := keptKubeconfig(upgraded)
	if err != nil {
		return err
	}
	client, err := connect(ctx, kubeconfig)
	if err != nil {
		return err
	}
	_, config, err := kubeadmConfig(ctx, client)
	if err != nil {
		return err
	}
	s.images = map[string]any{"etcd": config["etcd"], "dns": config["dns"]}
	s.target, _ = config["kubernetesVersion"].(string)
	return nil
}

// prepare says which cluster the script is to upgrade.
func (s *upgradeScript) prepare(ctx context.Context, name string) error {
	s.cluster = name
	kubeconfig, err := keptKubeconfig(name)
	if err != nil {
		return err
	}
	if s.client, err = connect(ctx, kubeconfig); err != nil {
		return err
	}
	kubectl, err := s.bench.kubectl(ctx, name)
	if err != nil {
		return err
	}
	s.kubectl = func(args ...string) error {
		return s.timed("kubectl "+strings.Join(args, " "), func() error { return kubectl(args...) })
	}
	return nil
}

// timed gives a command, and reports how long it took.
func (s *upgradeScript) timed(command string, give func() error) error {
	began := time.Now()
	err := give()
	if d := time.Since(began); d >= worthSaying {
		s.bench.say("script: %s took %.1f s", command, d.Seconds())
	}
	return err
}

// proxies waits until kube-proxy is complete.
var proxies = []string{"rollout", "status", "daemonset/kube-proxy", "--namespace=kube-system", "--timeout=120s"}

// run upgrades the cluster.
func (s *upgradeScript) run(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	const plane, ready = "control-plane", "--for=condition=Ready"
	for _, step := range []func() error{
		func() error { return s.install(ctx, plane, "kubeadm") },
		func() error { return s.tellImages(ctx) },
		func() error { return s.on(ctx, plane, "kubeadm", "upgrade", "plan", s.target) },
		func() error { return s.on(ctx, plane, "kubeadm", "upgrade", "apply", "--yes", s.target) },
		func() error { return s.kubelet(ctx, plane, "cp-1") },
		func() error {
			return s.again(ctx, "wait", "pod", "--namespace=kube-system", "--selector=tier=control-plane", ready, "--timeout=120s")
		},
		func() error { return s.again(ctx, proxies...) },
		func() error { return s.worker(ctx, "worker", "worker-1") },
		func() error { return s.worker(ctx, "worker2", "worker-2") },
		func() error { return s.kubectl(proxies...) },
	} {
		if err := step(); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

// worker upgrades a worker.
func (s *upgradeScript) worker(ctx context.Context, container, node string) error {
	for _, step := range []func() error{
		func() error { return s.again(ctx, "drain", node, "--ignore-daemonsets", "--timeout=120s") },
		func() error { return s.install(ctx, container, "kubeadm") },
		func() error { return s.on(ctx, container, "kubeadm", "upgrade", "node") },
		func() error { return s.kubelet(ctx, container, node) },
		func() error { return s.kubectl("uncordon", node) },
		func() error { return s.kubectl(rollout...) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// kubelet installs the kubelet, restarts it, and waits until the node says so.
func (s *upgradeScript) kubelet(ctx context.Context, container, node string) error {
	if err := s.install(ctx, container, "kubelet", "kubectl"); err != nil {
		return err
	}
	if err := s.on(ctx, container, "systemctl", "daemon-reload"); err != nil {
		return err
	}
	if err := s.on(ctx, container, "systemctl", "restart", "kubelet"); err != nil {
		return err
	}
	if err := s.again(ctx, "wait", "node/"+node, "--for=jsonpath={.status.nodeInfo.kubeletVersion}="+s.target, "--timeout=120s"); err != nil {
		return err
	}
	return s.again(ctx, "wait", "node/"+node, "--for=condition=Ready", "--timeout=120s")
}

// install puts programs of the target where the node runs them.
func (s *upgradeScript) install(ctx context.Context, container string, programs ...string) error {
	argv := []string{"install", "--mode=0755", "--target-directory=/usr/bin"}
	for _, program := range programs {
		argv = append(argv, path.Join(nodeimage.StageDir, s.target, program))
	}
	return s.on(ctx, container, argv...)
}

// on runs a command on a node, by what kind calls its container.
func (s *upgradeScript) on(ctx context.Context, container string, argv ...string) error {
	command := strings.Join(argv, " ") + " on " + container
	return s.timed(command, func() error {
		if _, err := s.bench.engine.Output(ctx, append([]string{"exec", s.cluster + "-" + container}, argv...)...); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
		return nil
	})
}

// again gives kubectl a command until it succeeds: beside a control plane that restarts it may fail.
func (s *upgradeScript) again(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	return poll(ctx, "kubectl "+args[0]+" succeeds", func(context.Context) error { return s.kubectl(args...) })
}

// tellImages tells kubeadm which images of etcd and CoreDNS there are, which is no part of the runbook where a registry has them all.
func (s *upgradeScript) tellImages(ctx context.Context) error {
	stored, config, err := kubeadmConfig(ctx, s.client)
	if err != nil {
		return err
	}
	for key, value := range s.images {
		config[key] = value
	}
	text, err := yaml.Marshal(config)
	if err != nil {
		return err
	}
	stored.Data[clusterConfiguration] = string(text)
	_, err = s.client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Update(ctx, stored, metav1.UpdateOptions{})
	return err
}

// clusterConfiguration is the key of kubeadm's configuration in its ConfigMap.
const clusterConfiguration = "ClusterConfiguration"

func kubeadmConfig(ctx context.Context, client kubernetes.Interface) (*corev1.ConfigMap, map[string]any, error) {
	stored, err := client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, "kubeadm-config", metav1.GetOptions{})
	if err != nil {
		return nil, nil, err
	}
	config := map[string]any{}
	return stored, config, yaml.Unmarshal([]byte(stored.Data[clusterConfiguration]), &config)
}
