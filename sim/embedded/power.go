package embedded

import (
	"context"
	"errors"
	"fmt"
)

// PowerOff cuts the power of a node: the processes of a control plane are killed in one instant, and the hollow node stops.
func (c *Cluster) PowerOff(ctx context.Context, node string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("power off node %q: %w", node, err)
	}
	if p := c.plane(node); p != nil {
		if err := p.kill(ctx); err != nil {
			return fmt.Errorf("power off node %q: %w", node, err)
		}
	}
	return c.kubelets.PowerOff(node)
}

// PowerOn boots a node: the components of a control plane start all at once, with the data and ports that they had, and
// those that find no API yet end and are started again, as under a kubelet.
func (c *Cluster) PowerOn(ctx context.Context, node string) error {
	if p := c.plane(node); p != nil {
		for _, name := range bootOrder {
			p.components[name].power(true)
			if err := p.components[name].start(ctx); err != nil {
				return fmt.Errorf("power on node %q: %w", node, err)
			}
		}
	}
	return c.kubelets.PowerOn(node)
}

var bootOrder = []string{etcd, apiServer, controllerManager, scheduler}

// led are the components of which one leads in a cluster, by a lease of its name.
var led = []string{controllerManager, scheduler}

// plane is the control plane node of that name, or nil.
func (c *Cluster) plane(node string) *controlPlane {
	for _, p := range c.planes {
		if p.node == node {
			return p
		}
	}
	return nil
}

// kill kills all components of the node side by side: none may act on the death of another.
func (p *controlPlane) kill(ctx context.Context) error {
	killed := make(chan error)
	for _, name := range bootOrder {
		p.components[name].power(false)
		go func() { killed <- p.components[name].stop(ctx, 0) }()
	}
	var errs []error
	for range bootOrder {
		errs = append(errs, <-killed)
	}
	return errors.Join(errs...)
}
