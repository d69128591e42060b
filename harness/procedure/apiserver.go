package procedure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/seatrial/seatrial/harness/cluster"
)

// askEvery is the time between two questions to an API server: there is no event to wait for from a server that is down.
const askEvery = 200 * time.Millisecond

// AwaitAPIServer waits until an API server answers /readyz, which has etcd in it, and says that it is of that version, exactly, unless none is given.
func AwaitAPIServer(ctx context.Context, server cluster.APIServer, wanted string) error {
	client, err := kubernetes.NewForConfig(server.Config)
	if err != nil {
		return fmt.Errorf("make client for api/%s: %w", server.Node, err)
	}
	last := errors.New("not asked")
	err = wait.PollUntilContextCancel(ctx, askEvery, true, func(ctx context.Context) (bool, error) {
		if _, last = client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); last != nil || wanted == "" {
			return last == nil, nil
		}
		found, err := cluster.ServerVersion(ctx, client.Discovery().RESTClient())
		if last = err; err == nil && found != wanted {
			last = fmt.Errorf("it says that it is %s", found)
		}
		return last == nil, nil
	})
	if err == nil {
		return nil
	}
	expected := "/readyz to answer ok"
	if wanted != "" {
		expected += ", and version " + wanted
	}
	return Failf("wait for api/%s: expected %s, last seen: %v", server.Node, expected, last)
}
