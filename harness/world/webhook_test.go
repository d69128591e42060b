package world_test

import (
	"testing"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seatrial/seatrial/harness/trace"
	"github.com/seatrial/seatrial/harness/world"
)

// webhook puts a configuration with one webhook into the trace, which is asked about the creation of pods.
func (v *voyage) webhook(change string, edit func(*admissionv1.ValidatingWebhook)) *world.Webhook {
	h := admissionv1.ValidatingWebhook{
		Name:         "pods.rules",
		ClientConfig: admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: "rules", Name: "webhook"}},
		Rules: []admissionv1.RuleWithOperations{{
			Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
		}},
	}
	if edit != nil {
		edit(&h)
	}
	v.event(trace.KindObject, "validatingwebhookconfiguration/rules", change, admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "rules"}, Webhooks: []admissionv1.ValidatingWebhook{h},
	})
	return v.fold.World.Webhooks["validatingwebhookconfiguration/rules/pods.rules"]
}

func TestWebhooks(t *testing.T) {
	v := begin(t)
	v.Expect(*v.webhook(trace.Added, nil)).To(Equal(world.Webhook{
		Configuration: "validatingwebhookconfiguration/rules", Name: "pods.rules", FailurePolicy: "Fail", Service: "rules/webhook", OwnPods: true, NewPods: true,
	}))
	ignore := admissionv1.Ignore
	v.Expect(v.webhook(trace.Modified, func(h *admissionv1.ValidatingWebhook) { h.FailurePolicy = &ignore }).FailurePolicy).To(Equal("Ignore"))
	v.Expect(v.webhook(trace.Modified, func(h *admissionv1.ValidatingWebhook) { h.Name = "other" })).To(BeNil())
	v.Expect(v.fold.World.Webhooks).To(HaveLen(1))
	v.webhook(trace.Deleted, nil)
	v.Expect(v.fold.World.Webhooks).To(BeEmpty())
}

// TestWebhookIsAskedAboutItself goes through what decides whether a webhook's own pods can be made without it.
func TestWebhookIsAskedAboutItself(t *testing.T) {
	rule := func(edit func(*admissionv1.RuleWithOperations)) func(*admissionv1.ValidatingWebhook) {
		return func(h *admissionv1.ValidatingWebhook) { edit(&h.Rules[0]) }
	}
	cluster := admissionv1.ClusterScope
	for name, tt := range map[string]struct {
		edit func(*admissionv1.ValidatingWebhook)
		own  bool
	}{
		"everything": {rule(func(r *admissionv1.RuleWithOperations) {
			r.Operations, r.APIGroups, r.APIVersions, r.Resources = []admissionv1.OperationType{"*"}, []string{"*"}, []string{"*"}, []string{"*/*"}
		}), true},
		"updates":      {rule(func(r *admissionv1.RuleWithOperations) { r.Operations = []admissionv1.OperationType{"UPDATE"} }), false},
		"evictions":    {rule(func(r *admissionv1.RuleWithOperations) { r.Resources = []string{"pods/eviction"} }), false},
		"other groups": {rule(func(r *admissionv1.RuleWithOperations) { r.APIGroups = []string{"apps"} }), false},
		"of the cluster": {rule(func(r *admissionv1.RuleWithOperations) {
			r.Resources, r.Scope = []string{"*"}, &cluster
		}), false},
		"a URL": {func(h *admissionv1.ValidatingWebhook) {
			h.ClientConfig = admissionv1.WebhookClientConfig{URL: new(string)}
		}, false},
		"by a namespace's name": {func(h *admissionv1.ValidatingWebhook) {
			h.NamespaceSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: []string{"rules"}},
			}}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			v := begin(t)
			v.Expect(v.webhook(trace.Added, tt.edit).OwnPods).To(Equal(tt.own))
		})
	}
}

func TestWebhookFollowsTheLabelsOfItsNamespace(t *testing.T) {
	v := begin(t)
	label := func(value string) {
		v.event(trace.KindObject, "namespace/rules", trace.Modified, corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "rules", Labels: map[string]string{"checked": value}}})
	}
	label("yes")
	selects := func(h *admissionv1.ValidatingWebhook) {
		h.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"checked": "yes"}}
	}
	v.Expect(v.webhook(trace.Added, selects).OwnPods).To(BeTrue())
	v.Expect(v.webhook(trace.Modified, selects).NewPods).To(BeTrue())
	label("no")
	now := func() *world.Webhook {
		return v.fold.World.Webhooks["validatingwebhookconfiguration/rules/pods.rules"]
	}
	v.Expect(now().OwnPods).To(BeFalse())
	v.Expect(now().NewPods).To(BeFalse(), "no namespace wants it")
	v.event(trace.KindObject, "namespace/shop", trace.Added, corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"checked": "yes"}}})
	v.Expect(now().OwnPods).To(BeFalse())
	v.Expect(now().NewPods).To(BeTrue())
}
