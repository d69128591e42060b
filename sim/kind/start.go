package kind

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/engine"
	"github.com/seatrial/seatrial/sim/identity"
	"github.com/seatrial/seatrial/sim/pki"
	"github.com/seatrial/seatrial/sim/proc"
	"github.com/seatrial/seatrial/sim/ready"
)

// networkVariable is how kind is told which network to use.
// https://kind.sigs.k8s.io/docs/user/known-issues/ and the constants of its providers docker and podman
var networkVariable = map[string]string{engine.Docker: "KIND_EXPERIMENTAL_DOCKER_NETWORK", engine.Podman: "KIND_EXPERIMENTAL_PODMAN_NETWORK"}

// start makes the cluster and waits until it is ready.
func (c *Cluster) start(ctx context.Context) error {
	if err := c.engine.Do(ctx, engine.Command{Args: []string{"network", "create", "--label", runLabel + "=" + c.spec.Name, c.spec.Name}}); err != nil {
		return err
	}
	c.say("network %s is made", c.spec.Name)
	if err := c.runKind(ctx); err != nil {
		return err
	}
	c.say("kind is done: the nodes have joined")
	if err := c.connect(ctx); err != nil {
		return err
	}
	if err := errors.Join(c.equip(ctx), c.copyAdmin(ctx)); err != nil {
		return err
	}
	if err := c.awaitReady(ctx); err != nil {
		return err
	}
	c.say("%d nodes are Ready", len(c.machines))
	if err := c.noteRestarts(ctx); err != nil || !c.spec.Resumable {
		return err
	}
	return c.outlive()
}

func (c *Cluster) kubeconfig() string { return filepath.Join(c.spec.StateDir, "kubeconfig") }

// runKind has the kind library make the cluster, in a process of its own.
func (c *Cluster) runKind(ctx context.Context) error {
	shape, err := configuration(c.spec, c.image, c.oldCgroups(ctx))
	if err != nil {
		return err
	}
	if c.options.patch != nil {
		c.options.patch(shape)
	}
	if c.spec.Disks {
		if err := c.makeDisks(ctx, shape); err != nil {
			return err
		}
	}
	if c.spec.EncryptSecrets {
		if err := c.encryptSecrets(shape); err != nil {
			return err
		}
	}
	config, err := yaml.Marshal(shape)
	if err != nil {
		return err
	}
	input, err := json.Marshal(order{Engine: c.engine.Name, Name: c.spec.Name, Config: config, Kubeconfig: c.kubeconfig()})
	if err != nil {
		return err
	}
	return c.options.Supervisor.Run(ctx, proc.Command{
		Name: "kind create cluster " + c.spec.Name, Args: []string{Entry}, Stdin: bytes.NewReader(input),
		Env:    append(c.engine.Environment(), networkVariable[c.engine.Name]+"="+c.spec.Name),
		OnLine: func(line string) { c.say("%s", line) },
		Finish: engine.FinishTime, Warn: true,
	}, 0)
}

// connect makes the clients: one for the cluster, and one for each API server, over the port that its container publishes on loopback.
func (c *Cluster) connect(ctx context.Context) error {
	loaded, err := clientcmd.LoadFromFile(c.kubeconfig())
	if err != nil {
		return fmt.Errorf("read kind's kubeconfig: %w", err)
	}
	if c.config, err = clientcmd.NewDefaultClientConfig(*loaded, nil).ClientConfig(); err != nil {
		return fmt.Errorf("read kind's kubeconfig: %w", err)
	}
	if err := c.outlast(ctx, c.config); err != nil {
		return err
	}
	c.config.QPS = -1 // a rehearsal must not measure the limits of its own client
	c.config.UserAgent = "seatrial"
	c.config.Dial = dialer.DialContext
	c.config.ContentType = runtime.ContentTypeProtobuf
	c.config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	c.self = identity.New(c.config.CAData, pki.Pair{Cert: c.config.CertData, Key: c.config.KeyData})
	c.config = c.self.Client(c.config)
	if c.client, err = kubernetes.NewForConfig(c.config); err != nil {
		return err
	}
	for _, m := range c.machines {
		if c.addresses[m.node], err = c.address(ctx, m); err != nil {
			return fmt.Errorf("find the address of %s: %w", m.node, err)
		}
	}
	for _, m := range c.controlPlanes() {
		address, err := c.engine.Output(ctx, "port", m.container, "6443/tcp")
		if err != nil {
			return fmt.Errorf("find the port of the API server of %s: %w", m.node, err)
		}
		config := rest.CopyConfig(c.config)
		config.Host = "https://" + strings.TrimSpace(strings.Split(address, "\n")[0])
		c.servers = append(c.servers, cluster.APIServer{Node: m.node, Config: config})
	}
	return writeRedacted(filepath.Join(c.spec.Dir, "kubeconfig"), loaded)
}

// goneAfter is how long a peer may say nothing at all before it is taken for gone.
const goneAfter = 6 * time.Second

// dialer notices that a node has lost its power. A killed process's kernel closes its connections; a machine without power does not, and a client that only
// listens, as a watch does, would wait for client-go's 45 s: long after the machine is back.
var dialer = net.Dialer{
	Timeout:         30 * time.Second,
	KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: goneAfter / 3, Interval: goneAfter / 3, Count: 2},
	Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(goneAfter.Milliseconds()))
		})
		return errors.Join(err, failed)
	},
}

// writeRedacted writes a kubeconfig that says where the API was, and lets nobody in.
func writeRedacted(path string, config *clientcmdapi.Config) error {
	config = config.DeepCopy()
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{Username: "redacted"}
	}
	return clientcmd.WriteToFile(*config, path)
}

// awaitServer waits until an API server is ready.
func awaitServer(ctx context.Context, server cluster.APIServer) error {
	client, err := kubernetes.NewForConfig(server.Config)
	if err != nil {
		return err
	}
	return ready.APIServer(ctx, client, server.Node)
}

// awaitReady waits for all that [cluster.Provider] promises of a cluster, side by side, and for the DaemonSets without which pods have no network.
func (c *Cluster) awaitReady(ctx context.Context) error {
	waits, ctx := errgroup.WithContext(ctx)
	for _, server := range c.servers {
		waits.Go(func() error { return awaitServer(ctx, server) })
	}
	waits.Go(func() error { return ready.DefaultAccount(ctx, c.client) })
	for _, component := range []string{"kube-controller-manager", "kube-scheduler"} {
		waits.Go(func() error { return ready.Leader(ctx, c.client, component) })
	}
	waits.Go(func() error {
		var names []string
		for _, m := range c.machines {
			names = append(names, m.node)
		}
		return ready.Nodes(ctx, c.client, names)
	})
	waits.Go(func() error { return ready.DaemonSets(ctx, c.client, "kube-system", len(c.machines)) })
	return waits.Wait()
}

// kubeletLines is how many of a kubelet's last lines an error has.
const kubeletLines = "20"

// explain adds to the error of a creation what crashed in kube-system, and the last lines of the kubelets of the nodes that did not become ready, or of all
// that there are when it did not come to asking for them.
func (c *Cluster) explain(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	var missing *ready.NodesError
	errs := append([]error{err}, c.crashes(ctx)...)
	for _, m := range c.machines {
		if errors.As(err, &missing) && !slices.Contains(missing.Missing, m.node) {
			continue
		}
		// A node that is not there has no kubelet, and what there is to say of it has been said.
		lines, lookErr := c.engine.Output(ctx, "exec", m.container, "journalctl", "--unit", "kubelet", "--lines", kubeletLines, "--no-pager", "--output", "cat")
		if lookErr == nil && lines != "" {
			errs = append(errs, fmt.Errorf("the last lines of the kubelet of %s:\n    %s", m.node, strings.ReplaceAll(lines, "\n", "\n    ")))
		}
	}
	return errors.Join(errs...)
}

// crashLines is how many of a crashed container's last lines an error has.
const crashLines = int64(5)

// crashes has, for each container of kube-system that crashes, the last lines of one of its pods. An API that does not answer has said so in the error already.
func (c *Cluster) crashes(ctx context.Context) []error {
	if c.client == nil {
		return nil
	}
	pods := c.client.CoreV1().Pods(metav1.NamespaceSystem)
	list, err := pods.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	var errs []error
	said := map[string]bool{}
	for _, p := range list.Items {
		for _, s := range p.Status.ContainerStatuses {
			if s.State.Waiting == nil || s.LastTerminationState.Terminated == nil || said[s.Name] {
				continue
			}
			lines := crashLines
			log, err := pods.GetLogs(p.Name, &corev1.PodLogOptions{Container: s.Name, Previous: true, TailLines: &lines}).DoRaw(ctx)
			if err != nil {
				log = []byte(err.Error())
			}
			said[s.Name] = true
			errs = append(errs, fmt.Errorf("pod %s on %s ended with status %d; its last lines:\n    %s", p.Name, p.Spec.NodeName, s.LastTerminationState.Terminated.ExitCode,
				strings.ReplaceAll(strings.TrimSpace(string(log)), "\n", "\n    ")))
		}
	}
	return errs
}
