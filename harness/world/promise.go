package world

import (
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/trace"
)

// Promise makes the world that a scenario promises: its nodes, all Ready, and its objects as they are written. Kinds that
// the world does not hold are passed over.
func Promise(nodes []cluster.Node, objects []*unstructured.Unstructured) (*World, error) {
	f := NewFold()
	f.World.Promised = true
	for _, n := range nodes {
		if err := f.promise(promisedNode(n)); err != nil {
			return nil, err
		}
	}
	for _, o := range objects {
		if o.GetNamespace() == "" && held[strings.ToLower(o.GetKind())] {
			o = o.DeepCopy()
			o.SetNamespace(metav1.NamespaceDefault) // as the API server will
		}
		if err := f.promise(o.Object, Subject(o)); err != nil {
			return nil, err
		}
	}
	return f.World, nil
}

// held are the kinds with namespaces that a world holds.
var held = map[string]bool{
	"pod": true, "deployment": true, "statefulset": true, "daemonset": true, "replicaset": true,
	"replicationcontroller": true, "job": true, "poddisruptionbudget": true,
}

func promisedNode(n cluster.Node) (object any, subject string) {
	node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: map[string]string{}}}
	if n.Role == cluster.ControlPlane {
		node.Labels[controlPlaneLabel] = ""
	}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	return node, "node/" + n.Name
}

func (f *Fold) promise(object any, subject string) error {
	data, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("promise %s: %w", subject, err)
	}
	_, err = f.Apply(trace.Event{Kind: trace.KindObject, Subject: subject, Change: trace.Existing, Data: data})
	return err
}

// Subject is how the trace names an object: kind/namespace/name, or kind/name for what has no namespace.
func Subject(o *unstructured.Unstructured) string {
	kind := strings.ToLower(o.GetKind())
	if o.GetNamespace() == "" {
		return kind + "/" + o.GetName()
	}
	return kind + "/" + o.GetNamespace() + "/" + o.GetName()
}
