package embedded

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// endpoint is an endpoint of a slice: the pod's name and its three conditions, nil where the API left one out.
func endpoint(pod string, ready, serving, terminating *bool) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{
		TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: pod},
		Conditions: discoveryv1.EndpointConditions{Ready: ready, Serving: serving, Terminating: terminating},
	}
}

func TestEndpoints(t *testing.T) {
	yes, no := new(bool), new(bool)
	*yes = true
	ready := endpoint("ready", yes, yes, no)
	unready := endpoint("unready", no, no, no)
	leaving := endpoint("leaving", no, yes, yes)
	left := endpoint("left", no, no, yes)
	address := discoveryv1.Endpoint{Addresses: []string{"192.0.2.1"}}
	for name, test := range map[string]struct {
		endpoints []discoveryv1.Endpoint
		want      []string
	}{
		"none":                      {nil, nil},
		"only the ready":            {[]discoveryv1.Endpoint{unready, leaving, ready, left}, []string{"default/ready"}},
		"ready when nothing's said": {[]discoveryv1.Endpoint{endpoint("b", nil, nil, nil), ready}, []string{"default/b", "default/ready"}},
		"the leaving as last":       {[]discoveryv1.Endpoint{unready, leaving, left}, []string{"default/leaving"}},
		"nobody serves":             {[]discoveryv1.Endpoint{unready, left}, nil},
		"each pod once":             {[]discoveryv1.Endpoint{ready, ready}, []string{"default/ready"}},
		"no pod behind it":          {[]discoveryv1.Endpoint{address}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			port := "http"
			slice := &discoveryv1.EndpointSlice{Endpoints: test.endpoints, Ports: []discoveryv1.EndpointPort{{Name: &port}}}
			var got []string
			for _, pod := range endpoints([]*discoveryv1.EndpointSlice{slice}, "http") {
				got = append(got, pod.String())
			}
			g.Expect(got).To(Equal(test.want))
			g.Expect(endpoints([]*discoveryv1.EndpointSlice{slice}, "another")).To(BeEmpty())
		})
	}
}

func TestPortName(t *testing.T) {
	g := NewWithT(t)
	service := &corev1.Service{Spec: corev1.ServiceSpec{
		ClusterIP: "10.96.0.7",
		Ports:     []corev1.ServicePort{{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}, {Name: "dns-tcp", Port: 53}},
	}}
	name, err := portName(service, 53)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(name).To(Equal("dns-tcp"))
	_, err = portName(service, 54)
	g.Expect(err).To(MatchError("the service has no such port"))
	service.Spec.ClusterIP = corev1.ClusterIPNone
	_, err = portName(service, 53)
	g.Expect(err).To(MatchError("the service has no cluster IP"))
}
