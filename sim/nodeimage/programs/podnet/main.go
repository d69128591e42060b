// Command podnet gives the pods of a node their network, as kindnetd does in kind's own images: a point-to-point link for each pod, addresses out of
// the node's podCIDR, and a route to each other node's pods. It runs on each node, follows the nodes, and does it all again when it starts, so that
// nodes that come later and nodes that were restarted are reached too.
//
// Traffic that leaves the nodes' own network is not masqueraded: pods reach pods, services and nodes.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

const (
	conflist = "/etc/cni/net.d/10-podnet.conflist"
	// protocol marks our routes, so that those of nodes that are gone can be told from the kernel's (rtnetlink(7), rtm_protocol).
	protocol netlink.RouteProtocol = 44
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Getenv("NODE_NAME"), os.Getenv("CONTROL_PLANE_ENDPOINT")); err != nil {
		fmt.Fprintln(os.Stderr, "podnet:", err)
		os.Exit(1) // the kubelet starts it again
	}
}

func run(ctx context.Context, self, endpoint string) error {
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	if endpoint != "" {
		config.Host = "https://" + endpoint // the service's address works only once kube-proxy does
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	nodes := factory.Core().V1().Nodes()
	changed := make(chan struct{}, 1)
	_, err = nodes.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { note(changed) }, DeleteFunc: func(any) { note(changed) },
		UpdateFunc: func(before, after any) {
			if place(before) != place(after) {
				note(changed)
			}
		},
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), nodes.Informer().HasSynced) {
		return nil // told to stop
	}
	for {
		all, err := nodes.Lister().List(labels.Everything())
		if err != nil {
			return err
		}
		if err := connect(self, all); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// note says that there is something to do; saying it twice is once.
func note(changed chan struct{}) {
	select {
	case changed <- struct{}{}:
	default:
	}
}

// place is what the network needs to know of a node.
func place(object any) string {
	node, ok := object.(*corev1.Node)
	if !ok {
		return ""
	}
	return address(node) + " " + node.Spec.PodCIDR
}

func address(node *corev1.Node) string {
	for _, a := range node.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			return a.Address
		}
	}
	return ""
}

// connect gives this node its configuration and its routes to the others.
func connect(self string, nodes []*corev1.Node) error {
	routes := map[string]net.IP{}
	for _, node := range nodes {
		switch {
		case node.Spec.PodCIDR == "":
		case node.Name == self:
			if err := configure(conflist, node.Spec.PodCIDR); err != nil {
				return err
			}
		case address(node) != "":
			routes[node.Spec.PodCIDR] = net.ParseIP(address(node))
		}
	}
	return route(routes)
}

// configure writes the CNI configuration (https://www.cni.dev/docs/spec/#network-configuration-format), whole or not at all.
func configure(file, podCIDR string) error {
	type object = map[string]any
	content, err := json.MarshalIndent(object{
		"cniVersion": "0.4.0",
		"name":       "podnet",
		"plugins": []object{
			{
				"type": "ptp", "ipMasq": false,
				"ipam": object{
					"type": "host-local", "dataDir": "/run/cni-ipam-state", // gone with a reboot, as the pods are
					"routes": []object{{"dst": "0.0.0.0/0"}}, "ranges": [][]object{{{"subnet": podCIDR}}},
				},
			},
			{"type": "portmap", "capabilities": object{"portMappings": true}},
		},
	}, "", "  ")
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(file); err == nil && string(old) == string(content) {
		return nil
	}
	temp := filepath.Join(filepath.Dir(file), ".podnet")
	if err := os.WriteFile(temp, content, 0o644); err != nil {
		return err
	}
	fmt.Println("pods of this node have addresses of", podCIDR)
	return os.Rename(temp, file)
}

// route makes the routes be these, and drops those of ours that are not among them.
func route(wanted map[string]net.IP) error {
	var errs []error
	for podCIDR, via := range wanted {
		_, subnet, err := net.ParseCIDR(podCIDR)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if err := netlink.RouteReplace(&netlink.Route{Dst: subnet, Gw: via, Protocol: protocol}); err != nil {
			errs = append(errs, fmt.Errorf("route %s via %s: %w", subnet, via, err))
		}
	}
	have, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Protocol: protocol}, netlink.RT_FILTER_PROTOCOL)
	errs = append(errs, err)
	var known []string
	for _, r := range have {
		if _, ok := wanted[r.Dst.String()]; ok {
			known = append(known, r.Dst.String()+" via "+r.Gw.String())
		} else if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("remove route %s: %w", r.Dst, err))
		}
	}
	fmt.Println("routes:", strings.Join(known, ", "))
	return errors.Join(errs...)
}
