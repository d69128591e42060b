package certs

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/trace"
)

// Outside is what can be seen of a cluster's certificates by somebody who has a kubeconfig, and no way onto the nodes.
type Outside struct {
	Certificates []trace.CertificateData
	// Unseen is what could not be looked at, and why: what lies on the nodes is always among it.
	Unseen []string
}

// outside is such a look under way.
type outside struct {
	Outside
	self   *Node // the kubeconfig
	client kubernetes.Interface
}

// See looks at a cluster from outside. Whatever can't be reached is said. The error says that the kubeconfig can't be read.
func See(ctx context.Context, file cluster.CertificateFile) (Outside, error) {
	path := file.Path
	config, err := clientcmd.RESTConfigFromKubeConfig(file.Content)
	if err != nil {
		return Outside{}, fmt.Errorf("read kubeconfig %q: %w", path, err)
	}
	o := &outside{self: &Node{name: "here", files: map[string]cluster.CertificateFile{}}}
	o.Unseen = []string{"what lies on the nodes, and what their components have loaded: that takes a way onto them"}
	o.self.trust(path, config.CAData)
	if len(o.self.authorities) == 0 {
		o.unseen("the authority that %s trusts: it is in another file, or none", filepath.Base(path))
	}
	if len(config.CertData) > 0 {
		o.self.readKubeconfig(file)
	} else {
		o.unseen("the client certificate of %s: it is in another file, or it is another way to prove who one is", filepath.Base(path))
	}
	o.Certificates = o.self.found
	if o.client, err = kubernetes.NewForConfig(config); err != nil {
		return Outside{}, fmt.Errorf("read kubeconfig %q: %w", path, err)
	}
	o.servers(ctx, config)
	o.nodes(ctx)
	o.requests(ctx)
	return o.Outside, nil
}

func (o *outside) unseen(format string, args ...any) {
	o.Unseen = append(o.Unseen, fmt.Sprintf(format, args...))
}

// trust takes what a kubeconfig trusts for the authorities of its cluster.
func (n *Node) trust(path string, data []byte) {
	trusted, err := certificates(data)
	if err != nil {
		return
	}
	for _, c := range trusted {
		n.authorities = append(n.authorities, authority{file: path, cert: c, outside: true})
	}
}

// servers looks at the server that the kubeconfig names, and at each that the cluster says it has.
func (o *outside) servers(ctx context.Context, config *rest.Config) {
	named, err := url.Parse(config.Host)
	if err != nil {
		o.unseen("the API server %s: %v", config.Host, err)
		return
	}
	address := named.Host
	if named.Port() == "" {
		address = net.JoinHostPort(named.Hostname(), "443")
	}
	o.served(ctx, "balancer", "kube-apiserver", address, config, named.Hostname())
	found, err := o.client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=kubernetes"})
	if err != nil {
		o.unseen("which API servers there are: %v", err)
		return
	}
	for _, slice := range found.Items {
		for _, endpoint := range slice.Endpoints {
			for _, port := range slice.Ports {
				if port.Port == nil {
					continue
				}
				for _, ip := range endpoint.Addresses {
					o.served(ctx, ip, "kube-apiserver", net.JoinHostPort(ip, strconv.Itoa(int(*port.Port))), nil, ip)
				}
			}
		}
	}
}

// nodes looks at what each node's kubelet serves, and the components of each control plane.
func (o *outside) nodes(ctx context.Context) {
	nodes, err := o.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		o.unseen("which nodes there are: %v", err)
		return
	}
	for _, node := range nodes.Items {
		_, controlPlane := node.Labels[controlPlaneLabel]
		if !slices.ContainsFunc(node.Status.Addresses, func(a corev1.NodeAddress) bool { return a.Type == corev1.NodeInternalIP }) {
			o.unseen("what node/%s serves: it has no address in the cluster", node.Name)
		}
		for _, a := range node.Status.Addresses {
			if a.Type != corev1.NodeInternalIP {
				continue
			}
			o.served(ctx, node.Name, "kubelet", net.JoinHostPort(a.Address, strconv.Itoa(int(node.Status.DaemonEndpoints.KubeletEndpoint.Port))), nil, node.Name)
			for _, s := range controlPlaneServers {
				if controlPlane {
					o.served(ctx, node.Name, s.component, net.JoinHostPort(a.Address, s.port), nil)
				}
			}
		}
	}
}

// controlPlaneLabel is on the nodes that kubeadm made control planes.
// https://kubernetes.io/docs/reference/labels-annotations-taints/#node-role-kubernetes-io-control-plane
const controlPlaneLabel = "node-role.kubernetes.io/control-plane"

// controlPlaneServers are the others that a control plane runs, where kubeadm has them listen; its controller manager and scheduler do so on loopback only, unless they are told to do more.
// https://kubernetes.io/docs/reference/networking/ports-and-protocols/#control-plane
var controlPlaneServers = []struct{ component, port string }{{"etcd", "2379"}, {"etcd-peer", "2380"}, {"kube-controller-manager", "10257"}, {"kube-scheduler", "10259"}}

// served notes what a server shows, and whether it has the names by which it is reached. With a client it is asked for its clock too.
func (o *outside) served(ctx context.Context, node, component, address string, client *rest.Config, names ...string) {
	chain, err := cluster.Handshake(ctx, address)
	if err != nil {
		o.unseen("what the %s at %s serves: %v", component, address, err)
		return
	}
	server := *o.self
	server.name = node
	d := server.Served(cluster.ServedCertificate{Component: component, Chain: chain}, names)
	if client != nil {
		var asked error
		if d.ClockSeconds, asked = Clock(ctx, client); asked != nil {
			o.unseen("the clock of the %s at %s: %v", component, address, asked)
		}
	}
	o.Certificates = append(o.Certificates, d)
}

// ClockSlack is what a clock may be off by for all that an answer tells: its time has whole seconds, and it was on its way.
const ClockSlack = 2 * time.Second

// Clock is by how many seconds an API server's clock is ahead of ours, by the time in its answers; 0 for less than two.
func Clock(ctx context.Context, config *rest.Config) (float64, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+"/version", nil)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	answer, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	answer.Body.Close()
	said, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return 0, err
	}
	ahead := said.Sub(began.Add(time.Since(began) / 2)) // it answered in the middle, for all we know
	if ahead.Abs() < ClockSlack {
		return 0, nil
	}
	return ahead.Seconds(), nil
}

// requests notes the requests for certificates of which nothing came.
func (o *outside) requests(ctx context.Context) {
	list, err := o.client.CertificatesV1().CertificateSigningRequests().List(ctx, metav1.ListOptions{})
	if err != nil {
		o.unseen("the requests for certificates: %v", err)
		return
	}
	var pending []string
	for _, r := range list.Items {
		if len(r.Status.Certificate) == 0 {
			pending = append(pending, fmt.Sprintf("certificatesigningrequest/%s of %s (%s)", r.Name, r.Spec.Username, r.Spec.SignerName))
		}
	}
	slices.Sort(pending)
	for _, p := range pending {
		o.unseen("what %s asks for: it was not issued", p)
	}
}
