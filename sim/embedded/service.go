package embedded

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/ready"
)

// services knows the Services and EndpointSlices of a cluster as a kube-proxy does: from watches that it starts at the first request, or when they are awaited.
type services struct {
	cluster *Cluster

	mu      sync.Mutex
	factory informers.SharedInformerFactory
	objects corelisters.ServiceLister
	slices  discoverylisters.EndpointSliceLister
	synced  []func() bool
	rand    *rand.Rand
}

// Request makes one request to a Service's port, as a pod on a node that is up would: it chooses one of the endpoints that
// kube-proxy's rules would choose from, at random, and asks the hollow pod behind it.
func (c *Cluster) Request(ctx context.Context, port cluster.ServicePort) (string, error) {
	pod, err := c.services.choose(ctx, port)
	if err == nil {
		err = c.kubelets.Answer(pod.Namespace, pod.Name)
	}
	if err != nil {
		return "", fmt.Errorf("request to service \"%s/%s\" port %d: %w", port.Namespace, port.Name, port.Port, err)
	}
	return pod.Name, nil
}

// follow starts the watches at the first request, and waits until they have listed. They are there again with the API: a kube-proxy may take half a minute, but not as much of an upgrade, which takes minutes there.
func (s *services) follow(ctx context.Context) error {
	if s.factory == nil {
		config := s.cluster.RESTConfig()
		config.Wrap(cluster.Patient)
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return err
		}
		s.factory = informers.NewSharedInformerFactory(client, 0)
		services, slices := s.factory.Core().V1().Services(), s.factory.Discovery().V1().EndpointSlices()
		s.synced = []func() bool{services.Informer().HasSynced, slices.Informer().HasSynced}
		s.objects, s.slices = services.Lister(), slices.Lister()
		s.factory.Start(s.cluster.life.Done())
	}
	return ready.Poll(ctx, "services and their endpoints are listed", func(context.Context) error {
		if slices.ContainsFunc(s.synced, func(synced func() bool) bool { return !synced() }) {
			return errors.New("the first list is on its way")
		}
		return nil
	})
}

// await waits until the first list is there.
func (s *services) await(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.follow(ctx)
}

// close waits for the end of the watches, which end with the cluster.
func (s *services) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.factory != nil {
		s.factory.Shutdown()
	}
}

// choose chooses the pod that a request is sent to.
func (s *services) choose(ctx context.Context, port cluster.ServicePort) (types.NamespacedName, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var none types.NamespacedName
	if err := s.follow(ctx); err != nil {
		return none, err
	}
	service, err := s.objects.Services(port.Namespace).Get(port.Name)
	if err != nil {
		return none, err
	}
	name, err := portName(service, port.Port)
	if err != nil {
		return none, err
	}
	selector := labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: port.Name})
	all, err := s.slices.EndpointSlices(port.Namespace).List(selector)
	if err != nil {
		return none, err
	}
	pods := endpoints(all, name)
	if len(pods) == 0 {
		return none, errors.New("no endpoints")
	}
	return pods[s.rand.IntN(len(pods))], nil
}

// portName is the name of a service's port; endpoints have their ports by name.
func portName(service *corev1.Service, number int32) (string, error) {
	if service.Spec.ClusterIP == "" || service.Spec.ClusterIP == corev1.ClusterIPNone {
		return "", errors.New("the service has no cluster IP")
	}
	for _, port := range service.Spec.Ports {
		if port.Port == number && port.Protocol != corev1.ProtocolUDP {
			return port.Name, nil
		}
	}
	return "", errors.New("the service has no such port")
}

// endpoints are the pods that kube-proxy would send to: those that are ready; when there are none, those that are
// terminating and still serve (https://kubernetes.io/docs/concepts/services-networking/service/#proxy-terminating-endpoints). They are sorted, so that a
// seed always chooses the same.
func endpoints(all []*discoveryv1.EndpointSlice, port string) []types.NamespacedName {
	ready, terminating := map[types.NamespacedName]bool{}, map[types.NamespacedName]bool{}
	for _, slice := range all {
		if !slices.ContainsFunc(slice.Ports, func(p discoveryv1.EndpointPort) bool { return p.Name != nil && *p.Name == port }) {
			continue
		}
		for _, e := range slice.Endpoints {
			if e.TargetRef == nil || e.TargetRef.Kind != "Pod" {
				continue
			}
			pod := types.NamespacedName{Namespace: e.TargetRef.Namespace, Name: e.TargetRef.Name}
			switch {
			case isTrue(e.Conditions.Ready, true):
				ready[pod] = true
			case isTrue(e.Conditions.Serving, false) && isTrue(e.Conditions.Terminating, false):
				terminating[pod] = true
			}
		}
	}
	if len(ready) == 0 {
		ready = terminating
	}
	var pods []types.NamespacedName
	for pod := range ready {
		pods = append(pods, pod)
	}
	slices.SortFunc(pods, func(a, b types.NamespacedName) int { return strings.Compare(a.String(), b.String()) })
	return pods
}

func isTrue(condition *bool, absent bool) bool {
	if condition == nil {
		return absent
	}
	return *condition
}
