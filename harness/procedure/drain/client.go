package drain

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"
)

// client is what kubectl's drain asks. It asks for each pod that is to go once a second; where ten nodes are drained at a time that was a sixth of all requests, and each drain
// up to a second longer than its pods. While the recording, which hears of all pods anyway, has a pod that ends, the API is not asked. What became of the pod only the API says.
type client struct {
	kubernetes.Interface
	seen func(subject string) any
}

func (c client) CoreV1() typed.CoreV1Interface { return core{c.Interface.CoreV1(), c.seen} }

type core struct {
	typed.CoreV1Interface
	seen func(subject string) any
}

func (c core) Pods(namespace string) typed.PodInterface {
	return pods{c.CoreV1Interface.Pods(namespace), c.seen, namespace}
}

type pods struct {
	typed.PodInterface
	seen      func(subject string) any
	namespace string
}

// The recording is looked at often, which costs no request, and relied on for no longer than that.
const (
	lookEvery = 50 * time.Millisecond
	lookFor   = 5 * time.Second
)

// Get asks for a pod that is ending when it is recorded as gone, or some seconds later.
func (p pods) Get(ctx context.Context, name string, options metav1.GetOptions) (*corev1.Pod, error) {
	waiting, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for p.ending(name) && waiting.Err() == nil {
		select {
		case <-ticker.C:
		case <-waiting.Done():
		}
	}
	return p.PodInterface.Get(ctx, name, options)
}

// ending tells whether a pod is recorded as one that is there and is being deleted.
func (p pods) ending(name string) bool {
	pod, ok := p.seen("pod/" + p.namespace + "/" + name).(*corev1.Pod)
	return ok && pod.DeletionTimestamp != nil
}
