package embedded

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilversion "k8s.io/apimachinery/pkg/util/version"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/flagcheck"
	"github.com/seatrial/seatrial/sim/proc"
	"github.com/seatrial/seatrial/sim/ready"
)

const (
	// componentGrace is what a component gets to end by itself. A static pod's grace period is 30 s, of which an API server takes all as long as anybody watches; it listens no more, and all
	// other requests are over, in the first of them.
	componentGrace = 3 * time.Second
	// componentTimeout is how long a component of a new version may take to answer. kubeadm gives it five minutes
	// (cmd/kubeadm/app/phases/upgrade/staticpods.go, UpgradeManifestTimeout); here no image is unpacked and no kubelet looks for files.
	componentTimeout = time.Minute
)

// Stage gets the version into the store, which serves every node.
func (c *Cluster) Stage(ctx context.Context, node, version string) (string, error) {
	release, err := c.options.Releases(ctx, version, kubernetesComponents)
	if err != nil {
		return "", fmt.Errorf("stage %s on node %q: %w", version, node, err)
	}
	return release.Version, nil
}

// checkTimeout is how long a program may take to read its flags: half a second was measured.
const checkTimeout = 20 * time.Second

// CheckFlags has each component's program of the version read the flags and print its version, which it does when it knows them all. A hollow kubelet has no flags: a real one is given the feature gates
// that the cluster has, when there are any.
func (c *Cluster) CheckFlags(ctx context.Context, node, version string) ([]cluster.FlagCheck, error) {
	release, err := c.options.Releases(ctx, version, targetPrograms(c.spec))
	if err != nil {
		return nil, fmt.Errorf("check the flags of %q: %w", node, err)
	}
	programs := map[string]proc.Command{}
	if p := c.plane(node); p != nil {
		for _, name := range kubernetesComponents {
			m := p.components[name]
			m.mu.Lock()
			programs[name] = m.command
			m.mu.Unlock()
		}
	}
	if gates := c.spec.FeatureGates; len(gates) > 0 {
		programs[kubelet] = proc.Command{Name: kubelet + " " + node, Args: []string{featureGates(gates)}, Dir: c.spec.StateDir, Env: proc.Environment()}
	}
	var checks []cluster.FlagCheck
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		check, err := c.checkFlags(ctx, name, filepath.Join(release.Dir, name), programs[name])
		if err != nil {
			return nil, fmt.Errorf("check the flags of %s of node %q: %w", name, node, err)
		}
		checks = append(checks, check)
	}
	return checks, nil
}

func (c *Cluster) checkFlags(ctx context.Context, name, path string, command proc.Command) (cluster.FlagCheck, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTimeout, fmt.Errorf("it did not say within %s", checkTimeout))
	defer cancel()
	ask, answer := "--version", func(err error) (cluster.FlagCheck, error) { return flagcheck.Answer(name, err) }
	if name == kubelet {
		ask, answer = flagcheck.Impossible, flagcheck.Kubelet
	}
	command.Name, command.Path, command.Log = "check the flags of "+command.Name, path, ""
	command.Args = append(slices.Clone(command.Args), ask)
	return answer(c.options.Supervisor.Run(ctx, command, 0))
}

// InstallKubeadm says which version it is whose kubeadm's part this provider takes.
func (c *Cluster) InstallKubeadm(ctx context.Context, node, version string) (string, error) {
	return c.Stage(ctx, node, version)
}

// CheckUpgrade refuses what kubeadm refuses: to go back, or to skip a minor.
// https://kubernetes.io/releases/version-skew-policy/#kube-apiserver
func (c *Cluster) CheckUpgrade(ctx context.Context, node, version string) error {
	exact, err := c.Stage(ctx, node, version)
	if err != nil {
		return err
	}
	p := c.plane(node)
	if p == nil {
		return fmt.Errorf("check the upgrade to %s: %q is no control plane", version, node)
	}
	found, err := cluster.ServerVersion(ctx, p.client.Discovery().RESTClient())
	if err != nil {
		return fmt.Errorf("check the upgrade to %s: %w", version, err)
	}
	return checkSkew(node, found, exact)
}

func checkSkew(node, from, to string) error {
	old, err := utilversion.ParseSemantic(from)
	if err != nil {
		return err
	}
	target, err := utilversion.ParseSemantic(to)
	if err != nil {
		return err
	}
	switch {
	case target.LessThan(old):
		err = fmt.Errorf("the API server is %s already, and nothing goes back", from)
	case target.Minor() > old.Minor()+1:
		err = fmt.Errorf("the API server is %s: an upgrade goes one minor at a time", from)
	default:
		return nil
	}
	return &cluster.UpgradeError{Node: node, Version: to, Err: err}
}

// UpgradeControlPlane starts the components of a node with the target's programs, one after the other in kubeadm's order. etcd stays: it is linked into this
// program. One that does not come up is replaced by what was there before. (kubeadm also puts back those that came up before it.) When the last node has the version, the addons get it.
func (c *Cluster) UpgradeControlPlane(ctx context.Context, node, version string, how cluster.ControlPlaneUpgrade) error {
	p := c.plane(node)
	if p == nil {
		return fmt.Errorf("upgrade control plane %q: it is none", node)
	}
	release, err := c.options.Releases(ctx, version, kubernetesComponents)
	if err != nil {
		return fmt.Errorf("upgrade control plane %q: %w", node, err)
	}
	if !how.KeepCertificates && p.components[apiServer].from() != release {
		// etcd stays, and so do its certificates.
		// https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/#automatic-certificate-renewal
		if err := c.renew(p, func(name string) bool { return !strings.HasPrefix(name, "etcd-") }); err != nil {
			return fmt.Errorf("upgrade control plane %q: renew its certificates: %w", node, err)
		}
	}
	for _, name := range kubernetesComponents {
		if err := c.replace(ctx, p, name, release); err != nil {
			return &cluster.UpgradeError{Node: node, Version: release.Version, Component: name, Err: err}
		}
		if err := c.kubelets.SetStaticPod(ctx, node, staticPodOf(name, release.Version)); err != nil {
			return fmt.Errorf("upgrade control plane %q: %w", node, err)
		}
	}
	c.say("the control plane of %s is %s", node, release.Version)
	for _, other := range c.planes { // as they are set up: one may have no power now
		if other.components[apiServer].from() != release {
			return nil
		}
	}
	return c.upgradeAddons(ctx, release.Version)
}

// replace ends a component and starts it from another release. It returns when it answers, or when what was there before does again.
func (c *Cluster) replace(ctx context.Context, p *controlPlane, name string, release Release) error {
	before := p.components[name].from()
	if before == release {
		return nil
	}
	err := c.restart(ctx, p, name, release)
	if err == nil {
		return c.save()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), componentGrace+componentTimeout)
	defer cancel()
	return errors.Join(err, c.restart(ctx, p, name, before))
}

// restart ends a component and starts the release's in its place. It returns when that answers, or has ended.
func (c *Cluster) restart(ctx context.Context, p *controlPlane, name string, release Release) error {
	m := p.components[name]
	if err := m.stop(ctx, componentGrace); err != nil {
		return err
	}
	m.become(release)
	ctx, cancel := context.WithTimeoutCause(ctx, componentTimeout, fmt.Errorf("it does not answer within %s", componentTimeout))
	defer cancel()
	ends := c.endings(p.node, name)
	if err := m.start(ctx); err != nil {
		return err
	}
	ctx, ended := context.WithCancelCause(ctx)
	defer ended(nil)
	err := ready.Poll(ctx, name+" of "+p.node+" answers", func(ctx context.Context) error {
		if now := c.endings(p.node, name); len(now) > len(ends) {
			ended(now[len(now)-1])
		}
		return p.healthy(ctx, name)
	})
	if err != nil {
		c.forgive(p.node, name, len(ends))
	}
	return err
}

// forgive forgets how a component ended since it had ended so many times: an upgrade that fails says so itself, and its pod is replaced by the old one.
func (c *Cluster) forgive(node, component string, ends int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.restarts = slices.DeleteFunc(c.restarts, func(r cluster.Restart) bool {
		if r.Node == node && r.Component == component {
			ends--
			return ends < 0
		}
		return false
	})
}

// endings lists how a component ended unasked so far.
func (c *Cluster) endings(node, component string) []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, r := range c.restarts {
		if r.Node == node && r.Component == component {
			errs = append(errs, r.Err)
		}
	}
	return errs
}

// healthy asks a component as its kubelet's probes do: /readyz of an API server, and /healthz of the others, for which nobody needs to be somebody.
// https://kubernetes.io/docs/reference/using-api/health-checks/
func (p *controlPlane) healthy(ctx context.Context, name string) error {
	if name == apiServer {
		return p.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	}
	port := map[string]int{controllerManager: p.ports.controllerManager, scheduler: p.ports.scheduler}[name]
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address(port)+"/healthz", nil)
	if err != nil {
		return err
	}
	// The component signed its certificate itself, and a kubelet does not look at it either.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
		return fmt.Errorf("/healthz answered %s: %s", answer.Status, body)
	}
	return nil
}

// upgradeAddons gives kube-proxy and CoreDNS what kubeadm installs with a version. Their controllers roll it out.
func (c *Cluster) upgradeAddons(ctx context.Context, version string) error {
	wanted, err := addonObjects(version)
	if err != nil {
		return err
	}
	for _, object := range wanted {
		if err := c.updateTemplate(ctx, object); err != nil {
			return fmt.Errorf("upgrade addon %q: %w", object.GetName(), err)
		}
	}
	c.say("kube-proxy and CoreDNS are those of %s", version)
	return nil
}

// updateTemplate gives a DaemonSet or Deployment the pod template that it is to have, whole: merged by port, CoreDNS's would be refused. Other objects stay.
func (c *Cluster) updateTemplate(ctx context.Context, object metav1.Object) error {
	var template corev1.PodTemplateSpec
	switch wanted := object.(type) {
	case *appsv1.DaemonSet:
		template = wanted.Spec.Template
	case *appsv1.Deployment:
		template = wanted.Spec.Template
	default:
		return nil
	}
	patch, err := json.Marshal([]map[string]any{{"op": "replace", "path": "/spec/template", "value": template}})
	if err != nil {
		return err
	}
	apps, namespace, name := c.client.AppsV1(), object.GetNamespace(), object.GetName()
	if _, ok := object.(*appsv1.DaemonSet); ok {
		_, err = apps.DaemonSets(namespace).Patch(ctx, name, types.JSONPatchType, patch, metav1.PatchOptions{})
	} else {
		_, err = apps.Deployments(namespace).Patch(ctx, name, types.JSONPatchType, patch, metav1.PatchOptions{})
	}
	return err
}

// UpgradeWorker has nothing to do: a hollow kubelet has no configuration.
func (c *Cluster) UpgradeWorker(ctx context.Context, node, version string) error {
	_, err := c.Stage(ctx, node, version)
	return err
}

// UpgradeKubelet has the hollow kubelet of a node report that version, as one that was restarted does.
func (c *Cluster) UpgradeKubelet(ctx context.Context, node, version string) error {
	exact, err := c.Stage(ctx, node, version)
	if err != nil {
		return err
	}
	return c.kubelets.SetVersion(node, exact)
}
