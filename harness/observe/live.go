package observe

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/seatrial/seatrial/harness/trace"
	"github.com/seatrial/seatrial/harness/world"
)

// Live is the world of a cluster as it is now: every kind is listed once, as the recording of a run begins. The cluster is only read, and what is secret is dropped as it is there. What may not be
// listed is an error, for a world without it would be another one.
func Live(ctx context.Context, kube kubernetes.Interface) (*world.World, error) {
	fold := world.NewFold()
	seq := int64(0)
	for _, k := range kindsOf(kube) {
		if k.name == "event" {
			continue // no world has them
		}
		list, err := cache.ToListerWithContext(k.source).ListWithContext(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("list the %ss of the cluster: %w", k.name, err)
		}
		err = apimeta.EachListItem(list, func(object runtime.Object) error {
			strip(object)
			data, err := json.Marshal(object)
			if err != nil {
				return err
			}
			seq++
			_, err = fold.Apply(trace.Event{
				Seq: seq, Time: time.Now(), Kind: trace.KindObject, Subject: subject(k.name, object.(metav1.Object)), Change: trace.Existing, Data: data,
			})
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read the %ss of the cluster: %w", k.name, err)
		}
	}
	return fold.World, nil
}
