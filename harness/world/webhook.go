package world

import (
	"fmt"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/seatrial/seatrial/harness/trace"
)

// Webhook is one webhook of an admission configuration.
// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
type Webhook struct {
	// Configuration as findings name it: validatingwebhookconfiguration/policy.
	Configuration string `json:"configuration"`
	Name          string `json:"name"`
	// FailurePolicy is "Fail" (the default) or "Ignore".
	FailurePolicy string `json:"failurePolicy"`
	// Service is the key of the service that is asked; "" for a URL.
	Service string `json:"service"`
	// OwnPods says that it is asked when a pod is made in its service's namespace, so that its own pods are made only while others of them answer. Its object
	// selector is not looked at.
	OwnPods bool `json:"ownPods"`
	// NewPods says that it is asked when pods are made in one of the namespaces that there are.
	NewPods bool `json:"newPods"`
}

// Key is the webhook's key in World.Webhooks.
func (w *Webhook) Key() string { return w.Configuration + "/" + w.Name }

// webhookState is what the fold remembers of a webhook beside the entity.
type webhookState struct {
	namespace  string // of its service
	pods       bool
	namespaces labels.Selector
}

// hook has what validating and mutating webhooks have in common.
type hook struct {
	Name              string                           `json:"name"`
	ClientConfig      admissionv1.WebhookClientConfig  `json:"clientConfig"`
	Rules             []admissionv1.RuleWithOperations `json:"rules"`
	FailurePolicy     *admissionv1.FailurePolicyType   `json:"failurePolicy"`
	NamespaceSelector *metav1.LabelSelector            `json:"namespaceSelector"`
}

// webhooks folds a configuration.
func (f *Fold) webhooks(e trace.Event, gone bool) error {
	var o struct {
		Webhooks []hook `json:"webhooks"`
	}
	if err := jsonv2.Unmarshal(e.Data, &o); err != nil {
		return fmt.Errorf("fold event %d: %s: %w", e.Seq, e.Subject, err)
	}
	for _, key := range sortedKeys(f.World.Webhooks) {
		if f.World.Webhooks[key].Configuration == e.Subject {
			delete(f.World.Webhooks, key)
			delete(f.hooks, key)
			f.touch("webhooks", key)
		}
	}
	if gone {
		return nil
	}
	for _, h := range o.Webhooks {
		w := &Webhook{Configuration: e.Subject, Name: h.Name, FailurePolicy: string(admissionv1.Fail)}
		if h.FailurePolicy != nil {
			w.FailurePolicy = string(*h.FailurePolicy)
		}
		state := webhookState{pods: slices.ContainsFunc(h.Rules, asksAboutNewPods), namespaces: labels.Everything()}
		if s := h.ClientConfig.Service; s != nil {
			w.Service, state.namespace = s.Namespace+"/"+s.Name, s.Namespace
		}
		if h.NamespaceSelector != nil { // absent it selects every namespace
			var err error
			if state.namespaces, err = metav1.LabelSelectorAsSelector(h.NamespaceSelector); err != nil {
				return fmt.Errorf("fold event %d: %s: namespace selector: %w", e.Seq, e.Subject, err)
			}
		}
		f.World.Webhooks[w.Key()] = w
		f.hooks[w.Key()] = state
		f.asksAboutPods(w)
		f.touch("webhooks", w.Key())
	}
	return nil
}

// namespace folds the labels of a namespace.
func (f *Fold) namespace(e trace.Event, key string) error {
	var o struct {
		Metadata metadata `json:"metadata"`
	}
	if err := jsonv2.Unmarshal(e.Data, &o); err != nil {
		return fmt.Errorf("fold event %d: %s: %w", e.Seq, e.Subject, err)
	}
	f.namespaces[key] = o.Metadata.Labels
	for _, name := range sortedKeys(f.World.Webhooks) {
		w := f.World.Webhooks[name]
		changed := *w
		if f.asksAboutPods(&changed); changed != *w {
			f.World.Webhooks[name] = &changed
			f.touch("webhooks", name)
		}
	}
	return nil
}

// asksAboutPods finds out whether the webhook is asked about new pods, and about those of its service's namespace. A namespace that was not seen has the one label that
// the API server gives to all.
func (f *Fold) asksAboutPods(w *Webhook) {
	state := f.hooks[w.Key()]
	of, seen := f.namespaces[state.namespace]
	if !seen {
		of = map[string]string{corev1.LabelMetadataName: state.namespace}
	}
	w.OwnPods = state.pods && w.Service != "" && state.namespaces.Matches(labels.Set(of))
	w.NewPods = w.OwnPods
	for _, of := range f.namespaces {
		w.NewPods = w.NewPods || state.pods && state.namespaces.Matches(labels.Set(of))
	}
}

// asksAboutNewPods tells whether a rule covers the creation of pods.
// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#matching-requests-rules
func asksAboutNewPods(r admissionv1.RuleWithOperations) bool {
	has := func(list []string, any ...string) bool {
		return slices.ContainsFunc(list, func(s string) bool { return slices.Contains(any, strings.ToLower(s)) })
	}
	create := slices.ContainsFunc(r.Operations, func(o admissionv1.OperationType) bool {
		return o == admissionv1.Create || o == admissionv1.OperationAll
	})
	return create && has(r.APIGroups, "", "*") && has(r.APIVersions, "v1", "*") && has(r.Resources, "pods", "*", "*/*") &&
		(r.Scope == nil || *r.Scope != admissionv1.ClusterScope)
}
