package observe

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/trace"
)

// requestedMetric is where an API server says which deprecated APIs it was asked for since it started, and when they are removed.
// https://kubernetes.io/docs/reference/using-api/deprecation-policy/#rest-resources-aka-api-objects
const requestedMetric = "apiserver_requested_deprecated_apis"

// maxWriters bounds the list of objects that were written through a deprecated API.
const maxWriters = 20

// DeprecatedAPIs asks every API server which deprecated APIs clients have requested, by subject, and finds the objects whose
// managed fields were written through them. The metric does not say who only read.
func DeprecatedAPIs(ctx context.Context, servers []cluster.APIServer, meta metadata.Interface) (map[string]trace.DeprecatedData, error) {
	found := map[string]trace.DeprecatedData{}
	for _, server := range servers {
		client, err := kubernetes.NewForConfig(server.Config)
		if err != nil {
			return nil, fmt.Errorf("make client for api/%s: %w", server.Node, err)
		}
		text, err := client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
		if err != nil {
			return nil, fmt.Errorf("ask api/%s for its metrics: %w", server.Node, err)
		}
		requested, err := requestedAPIs(text)
		if err != nil {
			return nil, fmt.Errorf("read the metrics of api/%s: %w", server.Node, err)
		}
		for _, api := range requested {
			subject := fmt.Sprintf("api/%s/%s", schema.GroupVersion{Group: api.Group, Version: api.Version}, api.Resource)
			if known, ok := found[subject]; ok {
				api = known
			}
			api.Servers = append(api.Servers, server.Node)
			found[subject] = api
		}
	}
	for _, subject := range slices.Sorted(maps.Keys(found)) {
		api := found[subject]
		var err error
		if api.Objects, err = writtenThrough(ctx, meta, api); err != nil {
			return nil, err
		}
		found[subject] = api
	}
	return found, nil
}

// requestedAPIs reads the metric. Subresources are their resource's.
func requestedAPIs(text []byte) ([]trace.DeprecatedData, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	family := families[requestedMetric]
	var all []trace.DeprecatedData
	for _, metric := range family.GetMetric() {
		if metric.GetGauge().GetValue() == 0 {
			continue
		}
		of := labels(metric)
		api := trace.DeprecatedData{Group: of["group"], Version: of["version"], Resource: of["resource"], RemovedRelease: of["removed_release"]}
		if !slices.ContainsFunc(all, func(other trace.DeprecatedData) bool {
			return other.Group == api.Group && other.Version == api.Version && other.Resource == api.Resource
		}) {
			all = append(all, api)
		}
	}
	return all, nil
}

func labels(metric *dto.Metric) map[string]string {
	all := map[string]string{}
	for _, pair := range metric.GetLabel() {
		all[pair.GetName()] = pair.GetValue()
	}
	return all
}

// writtenThrough lists objects of which a client wrote fields through the API version, each with the names of those clients.
func writtenThrough(ctx context.Context, meta metadata.Interface, api trace.DeprecatedData) ([]string, error) {
	version := schema.GroupVersion{Group: api.Group, Version: api.Version}
	list, err := meta.Resource(version.WithResource(api.Resource)).List(ctx, metav1.ListOptions{})
	switch {
	case apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err):
		return []string{}, nil // it can't be listed: some resources only take reviews
	case err != nil:
		return nil, fmt.Errorf("list %s of %s: %w", api.Resource, version, err)
	}
	objects := []string{}
	for _, o := range list.Items {
		var managers []string
		for _, entry := range o.ManagedFields {
			if entry.APIVersion == version.String() {
				managers = append(managers, entry.Manager)
			}
		}
		if len(managers) > 0 && len(objects) < maxWriters {
			slices.Sort(managers)
			objects = append(objects, fmt.Sprintf("%s by %s", name(&o), slices.Compact(managers)))
		}
	}
	return objects, nil
}

func name(o metav1.Object) string {
	if o.GetNamespace() == "" {
		return o.GetName()
	}
	return o.GetNamespace() + "/" + o.GetName()
}
