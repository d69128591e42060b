package certificates

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/seatrial/seatrial/harness/certs"
	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/procedure"
	"github.com/seatrial/seatrial/harness/trace"
)

// Look looks at every certificate of the cluster and puts what it finds into the recording, and after it, under the name of the look, that these are all. A node that can't be looked at
// is said there; an API that does not answer keeps nobody from looking at files.
func Look(ctx context.Context, env *procedure.Env, name string) error {
	operator, err := operatorOf(env)
	if err != nil {
		return err
	}
	l := look{env: env, operator: operator, inventory: trace.InventoryData{Seen: []string{}, Unreadable: []string{}}}
	l.known(ctx)
	if err := l.requests(ctx); err != nil {
		return err
	}
	for _, node := range env.Cluster.Nodes() { // one after the other: side by side on few processors, commands in containers make the API's clients wait
		if err := l.node(ctx, node); err != nil {
			return err
		}
	}
	slices.Sort(l.inventory.Seen)
	slices.Sort(l.inventory.Unreadable)
	l.inventory.Time = time.Now().UTC()
	fmt.Fprintf(env.Log, "%d certificates\n%s", len(l.inventory.Seen), lines(l.inventory.Unreadable))
	return env.Record(trace.KindFact, "certificates/"+name, trace.CertificatesListed, l.inventory)
}

func lines(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return strings.Join(list, "\n") + "\n"
}

// operatorOf is what the cluster can do with its certificates.
func operatorOf(env *procedure.Env) (cluster.CertOperator, error) {
	operator, ok := env.Cluster.(cluster.CertOperator)
	if !ok {
		return nil, fmt.Errorf("cluster lacks the capability %q, which its provider promised", cluster.CapCertificates)
	}
	return operator, nil
}

// look is a look at all certificates under way.
type look struct {
	env      *procedure.Env
	operator cluster.CertOperator
	// addresses are those of the nodes, and service the API's own in the cluster, as far as the API says them.
	addresses map[string][]string
	service   string
	// ahead is by how many seconds the clock of each node's kubelet is ahead of ours.
	ahead map[string]float64
	// waiting are the kubelets' requests for serving certificates, by node.
	waiting map[string]trace.KubeletRequestsData

	inventory trace.InventoryData
}

// unreadable notes that something could not be looked at.
func (l *look) unreadable(format string, args ...any) {
	l.inventory.Unreadable = append(l.inventory.Unreadable, fmt.Sprintf(format, args...))
}

// apiTimeout is how long the API may take for one answer.
const apiTimeout = 10 * time.Second

// known asks the API for the names that clients know the servers by, and for what the nodes' Leases say of their clocks.
func (l *look) known(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	l.addresses, l.ahead = map[string][]string{}, map[string]float64{}
	leases := map[string]coordinationv1.LeaseSpec{}
	list, err := l.env.Kube.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(ctx, metav1.ListOptions{})
	if err != nil {
		l.unreadable("the clocks of kubelets: %v", err)
	} else {
		for _, lease := range list.Items {
			leases[lease.Name] = lease.Spec
		}
	}
	nodes, err := l.env.Kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err == nil {
		for _, node := range nodes.Items {
			l.ahead[node.Name] = ahead(leases[node.Name], &node, time.Now())
			for _, a := range node.Status.Addresses {
				if a.Type == corev1.NodeInternalIP {
					l.addresses[node.Name] = append(l.addresses[node.Name], a.Address)
				}
			}
		}
		var service *corev1.Service
		if service, err = l.env.Kube.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{}); err == nil {
			l.service = service.Spec.ClusterIP
		}
	}
	if err != nil {
		l.unreadable("the names that clients know the servers by: %v", err)
	}
}

// renewedWithin is what a Lease may be behind by anyway: a kubelet renews it every ten seconds, and one that has not for 50 s is not Ready.
// https://kubernetes.io/docs/reference/node/node-status/#heartbeats
const renewedWithin = 60 * time.Second

// ahead is by how many seconds a kubelet's clock is ahead of ours, by the time that it writes into its node's Lease; 0 when it may be right. A clock that is behind can't be told from a kubelet that has ended,
// unless the node is Ready.
func ahead(lease coordinationv1.LeaseSpec, node *corev1.Node, now time.Time) float64 {
	if lease.RenewTime == nil {
		return 0
	}
	ready := slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
	if by := lease.RenewTime.Sub(now); by > certs.ClockSlack || ready && by < -renewedWithin {
		return by.Seconds()
	}
	return 0
}

// dnsDomain is the cluster's, as kubeadm sets it where nobody asks for another; no scenario can.
const dnsDomain = "cluster.local"

// clients are the names that clients know a server of the node by.
func (l *look) clients(node, component, balancer string) []string {
	names := append([]string{node}, l.addresses[node]...)
	switch component {
	case "kube-apiserver":
		names = append(names, "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc."+dnsDomain, "localhost")
		for _, name := range []string{balancer, l.service} {
			if name != "" {
				names = append(names, name)
			}
		}
	case "etcd", "etcd-peer":
		names = append(names, "localhost", "127.0.0.1")
	default:
		return nil
	}
	return names
}

// node looks at a node: its files, what it serves, what its components have loaded, and whether the API takes its kubeconfigs.
func (l *look) node(ctx context.Context, node cluster.Node) error {
	files, err := l.operator.CertificateFiles(ctx, node.Name)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		l.unreadable("the files of %s: %v", node.Name, err)
		return nil
	}
	read := certs.Read(node.Name, files)
	found := append(l.ask(ctx, node.Name, read), l.served(ctx, node.Name, read)...)
	for i := range found {
		if certs.OfKubelet(found[i].Path) && found[i].Part == "" {
			found[i].ClockSeconds = l.ahead[node.Name]
		}
	}
	if node.Role == cluster.ControlPlane {
		found = append(found, l.controlPlane(ctx, node.Name, read)...)
	}
	for _, d := range found {
		if err := l.env.Record(trace.KindFact, d.ID(), d.Change(), d); err != nil {
			return err
		}
		l.inventory.Seen = append(l.inventory.Seen, d.ID())
	}
	return nil
}

// served looks at what a node's servers show. One that shows nothing is said, unless it is a kubelet that waits for its certificate, which is said of its node.
func (l *look) served(ctx context.Context, node string, read *certs.Node) []trace.CertificateData {
	servers, err := l.operator.ServedCertificates(ctx, node)
	if err != nil {
		l.unreadable("what %s serves: %v", node, err)
	}
	var found []trace.CertificateData
	for _, s := range servers {
		if s.Err != nil {
			if s.Component != "kubelet" || len(l.waiting[node].Pending) == 0 {
				l.unreadable("what the %s of %s serves: %v", s.Component, node, s.Err)
			}
			continue
		}
		d := read.Served(s, l.clients(node, s.Component, read.Server()))
		if s.Component == "kube-apiserver" {
			if d.ClockSeconds, err = l.clock(ctx, node); err != nil {
				l.unreadable("the clock of %s: %v", node, err)
			}
		}
		found = append(found, d)
	}
	return found
}

// controlPlane looks at what only control planes have: kubeadm's files, all of them, what kubeadm says of them, and components that have loaded theirs.
func (l *look) controlPlane(ctx context.Context, node string, read *certs.Node) []trace.CertificateData {
	since, within, err := l.operator.Started(ctx, node)
	if err != nil {
		l.unreadable("since when components of %s run: %v", node, err)
	}
	found, unknown := read.Loaded(since, within+time.Duration(math.Abs(l.ahead[node])*float64(time.Second))) // files have the time of the node's clock
	for _, u := range unknown {
		l.unreadable("%s", u)
	}
	ends, err := l.operator.CheckExpiration(ctx, node)
	if err != nil {
		l.unreadable("what kubeadm certs check-expiration says on %s: %v", node, err)
	}
	for _, difference := range disagreements(read.Found(), ends) {
		l.unreadable("which is right on %s: %s", node, difference)
	}
	return append(found, read.Missing()...)
}

// disagreements are what kubeadm says of files that we read otherwise: one of us is wrong.
func disagreements(found []trace.CertificateData, ends map[string]time.Time) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(ends)) {
		file := certs.FileOf(name)
		i := slices.IndexFunc(found, func(d trace.CertificateData) bool { return d.Path == file && d.Component == "" && d.Part == "" })
		switch {
		case i < 0:
			list = append(list, fmt.Sprintf("kubeadm lists %s, and there is no %s", name, file))
		case found[i].NotAfter.Sub(ends[name]).Abs() >= time.Second:
			list = append(list, fmt.Sprintf("kubeadm says that %s ends at %s, and what %s holds at %s", name, ends[name].Format(time.RFC3339), file, found[i].NotAfter.Format(time.RFC3339)))
		}
	}
	return list
}

// clock is by how many seconds the clock of a node is ahead of ours, as its API server says.
func (l *look) clock(ctx context.Context, node string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	for _, server := range l.env.Cluster.APIServers() {
		if server.Node == node {
			return certs.Clock(ctx, server.Config)
		}
	}
	return 0, fmt.Errorf("the cluster lists no API server on it")
}

// ask asks the API who it is with each kubeconfig of a node, and says what came of it in the entry of its client's certificate, wherever that is. When the API gives no answer the entry says that it was not asked.
func (l *look) ask(ctx context.Context, node string, read *certs.Node) []trace.CertificateData {
	found := slices.Clone(read.Found())
	for _, k := range read.Kubeconfigs() {
		i := slices.IndexFunc(found, func(d trace.CertificateData) bool { return d.Path == k.Certificate && d.Part == "" })
		if i < 0 {
			l.unreadable("the client certificate that %s of %s names: %s was not read", k.Path, node, k.Certificate)
			continue
		}
		if found[i].Problem != "" {
			continue // which says more
		}
		err := l.whoAmI(ctx, k)
		switch {
		case err == nil:
			found[i].Asked = true
		case refused(err):
			found[i].Asked, found[i].Refusal = true, cmp.Or(err.Error(), "it said no more")
		default:
			fmt.Fprintf(l.env.Log, "%s: the API was to be asked with %s: %v\n", node, k.Path, err)
			if k.Certificate != k.Path { // the policy that wants all asked knows kubeconfigs with a certificate of their own
				l.unreadable("whether the API takes %s of %s: %v", k.Path, node, err)
			}
		}
	}
	return found
}

// refused tells whether an error says that the API does not take the client's certificate, or the client not the server's. What else goes wrong says nothing of it.
func refused(err error) bool {
	var invalid *tls.CertificateVerificationError
	return apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err) || errors.As(err, &invalid)
}

// whoAmI asks the API with a kubeconfig who its user is, which everybody may whom it knows. The server that it names is reached where we reach it, and has to show that it is that one.
//
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#self-subject-review
func (l *look) whoAmI(ctx context.Context, k certs.Kubeconfig) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	named, err := url.Parse(k.Server)
	if err != nil {
		return err
	}
	ours := l.reach(named)
	config := &rest.Config{
		Host: ours.Host, Dial: ours.Dial, Timeout: apiTimeout,
		TLSClientConfig: rest.TLSClientConfig{ServerName: cmp.Or(k.ServerName, named.Hostname()), CAData: k.Authority, CertData: k.Cert, KeyData: k.Key},
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	kube, err := kubernetes.NewForConfigAndClient(config, client)
	if err != nil {
		return err
	}
	_, err = kube.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	return err
}

// reach is how we reach the server that a kubeconfig names: that of a node by its address, or else the balancer. Each time with a dialer of its own, so that no connection of before answers.
func (l *look) reach(named *url.URL) *rest.Config {
	ours := l.env.Cluster.RESTConfig()
	for _, server := range l.env.Cluster.APIServers() {
		host, err := url.Parse(server.Config.Host)
		if err == nil && host.Host == named.Host || slices.Contains(l.addresses[server.Node], named.Hostname()) {
			ours = rest.CopyConfig(server.Config)
		}
	}
	dial := ours.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	ours.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		return dial(ctx, network, address)
	}
	return ours
}

// unanswered is how old a request for a client certificate is of which nothing came: the controller manager approves and signs it by itself, in a moment.
const unanswered = 30 * time.Second

// requests puts into the recording which kubelets wait for their certificates.
//
// https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/#client-and-serving-certificates
func (l *look) requests(ctx context.Context) error {
	l.waiting = map[string]trace.KubeletRequestsData{}
	asking, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	requests, err := l.env.Kube.CertificatesV1().CertificateSigningRequests().List(asking, metav1.ListOptions{})
	if err != nil {
		l.unreadable("the requests for certificates: %v", err)
		return nil
	}
	for _, node := range l.env.Cluster.Nodes() {
		serving := pending(node.Name, certificatesv1.KubeletServingSignerName, requests.Items)
		l.waiting[node.Name] = serving
		client := overdue(pending(node.Name, certificatesv1.KubeAPIServerClientKubeletSignerName, requests.Items), time.Now())
		err := errors.Join(l.env.Record(trace.KindFact, "node/"+node.Name, trace.ServingRequested, serving), l.env.Record(trace.KindFact, "node/"+node.Name, trace.ClientRequested, client))
		if err != nil {
			return err
		}
	}
	return nil
}

// overdue are the requests when the oldest has waited for long, and else none.
func overdue(d trace.KubeletRequestsData, now time.Time) trace.KubeletRequestsData {
	if len(d.Pending) > 0 && now.Sub(d.Since) < unanswered {
		return trace.KubeletRequestsData{Node: d.Node, Pending: []string{}}
	}
	return d
}

// pending are the requests of a node's kubelet to a signer that came to nothing, since the last that did. A request that was approved and never signed is among them, and one that was denied.
func pending(node, signer string, requests []certificatesv1.CertificateSigningRequest) trace.KubeletRequestsData {
	d := trace.KubeletRequestsData{Node: node, Pending: []string{}}
	slices.SortFunc(requests, func(a, b certificatesv1.CertificateSigningRequest) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
	for _, r := range requests {
		if r.Spec.Username != "system:node:"+node || r.Spec.SignerName != signer {
			continue
		}
		if len(r.Status.Certificate) > 0 {
			d.Pending, d.Since = []string{}, time.Time{}
			continue
		}
		if len(d.Pending) == 0 {
			d.Since = r.CreationTimestamp.UTC()
		}
		d.Pending = append(d.Pending, path.Join("certificatesigningrequest", r.Name))
	}
	return d
}
