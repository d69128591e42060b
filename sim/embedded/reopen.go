package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/seatrial/seatrial/harness/cluster"
)

// The capability to be reopened: the folder of a cluster has all that its processes read, and a file that says the rest.

// stateFile is in the cluster's StateDir.
const stateFile = "cluster.json"

// state is what a cluster knows and no other file of its folder says.
type state struct {
	Release  Release      `json:"release"` // that it was made from
	Balancer string       `json:"balancer"`
	Planes   []planeState `json:"planes"`
}

// planeState is a control plane node.
type planeState struct {
	Ports    []int              `json:"ports"`
	Releases map[string]Release `json:"releases"` // by component
	Copied   []string           `json:"copied"`
}

// plane is what is known of control plane node number i, from 0: nothing in a first life.
func (s *state) plane(i int) planeState {
	if s == nil || i >= len(s.Planes) {
		return planeState{}
	}
	return s.Planes[i]
}

// balancer is where the balancer listens, which every kubeconfig says: in a first life at any free port.
func (s *state) balancer() string {
	if s == nil {
		return loopback + ":0"
	}
	return s.Balancer
}

// save writes the state, in one piece.
func (c *Cluster) save() error {
	c.saving.Lock()
	defer c.saving.Unlock()
	s := state{Release: c.release, Balancer: c.balancer.Addr()}
	for _, p := range c.planes {
		one := planeState{Releases: map[string]Release{}}
		for _, port := range p.ports.all() {
			one.Ports = append(one.Ports, *port)
		}
		for name, m := range p.components {
			one.Releases[name] = m.from()
		}
		c.mu.Lock()
		one.Copied = append(one.Copied, p.copied...)
		c.mu.Unlock()
		s.Planes = append(s.Planes, one)
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	path := filepath.Join(c.spec.StateDir, stateFile)
	if err := os.WriteFile(path+".partial", raw, 0o600); err != nil {
		return fmt.Errorf("save the cluster's state: %w", err)
	}
	return os.Rename(path+".partial", path)
}

var _ cluster.Reopener = (*Provider)(nil)

// Reopen implements cluster.Reopener. The pods go on as under a kubelet that was restarted; the components of the control planes start again.
func (p *Provider) Reopen(ctx context.Context, spec cluster.Spec) (cluster.Cluster, error) {
	raw, err := os.ReadFile(filepath.Join(spec.StateDir, stateFile))
	earlier := &state{}
	if err == nil {
		err = json.Unmarshal(raw, earlier)
	}
	if err == nil && len(earlier.Planes) != spec.ControlPlanes {
		err = fmt.Errorf("its state has %d control planes, and it is to have %d", len(earlier.Planes), spec.ControlPlanes)
	}
	if err != nil {
		return nil, fmt.Errorf("reopen cluster %q: %w", spec.Name, err)
	}
	c := newCluster(ctx, p.options, spec, earlier.Release)
	c.earlier, c.precious = earlier, true
	if err := c.create(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("reopen cluster %q: %w", spec.Name, err), c.giveUp(ctx))
	}
	c.precious = false
	return c, nil
}

// unseater gives what ends the leaderships of processes of the life before: they are dead, and their leases would be waited for. It does so once, and before any process of this life
// is a leader: that one would end when its lease goes. In a first life there are none.
func (c *Cluster) unseater(ctx context.Context) func(kubernetes.Interface) error {
	var mu sync.Mutex
	done := c.earlier == nil
	return func(client kubernetes.Interface) error {
		mu.Lock()
		defer mu.Unlock()
		if done {
			return nil
		}
		for _, name := range led {
			err := client.CoordinationV1().Leases(metav1.NamespaceSystem).Delete(ctx, name, metav1.DeleteOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("end the leadership of a %s that is dead: %w", name, err)
			}
		}
		done = true
		return nil
	}
}

// kubeletVersions are those of the nodes in the life before, by node; none in a first life.
func (c *Cluster) kubeletVersions(ctx context.Context) (map[string]string, error) {
	versions := map[string]string{}
	if c.earlier == nil {
		return versions, nil
	}
	nodes, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("ask for the versions of the kubelets: %w", err)
	}
	for _, node := range nodes.Items {
		versions[node.Name] = node.Status.NodeInfo.KubeletVersion
	}
	return versions, nil
}
