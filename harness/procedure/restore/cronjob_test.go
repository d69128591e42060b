package restore

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
)

// TestScheduled: what a schedule leaves between two backups at most, on whatever day it is asked.
func TestScheduled(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	yes := true
	berlin := "Europe/Berlin"
	for name, test := range map[string]struct {
		spec      batchv1.CronJobSpec
		longest   time.Duration
		suspended bool
	}{
		"daily":     {spec: batchv1.CronJobSpec{Schedule: "0 3 * * *"}, longest: 24 * time.Hour},
		"suspended": {batchv1.CronJobSpec{Schedule: "@daily", Suspend: &yes}, 24 * time.Hour, true},
		"weekdays":  {spec: batchv1.CronJobSpec{Schedule: "0 3 * * 1-5"}, longest: 72 * time.Hour},
		"summer":    {spec: batchv1.CronJobSpec{Schedule: "0 12 * * *", TimeZone: &berlin}, longest: 25 * time.Hour},
		"never":     {spec: batchv1.CronJobSpec{Schedule: "0 0 30 2 *"}},
		"once":      {spec: batchv1.CronJobSpec{Schedule: "0 0 1 1 *"}, longest: 365 * 24 * time.Hour},
		"january":   {spec: batchv1.CronJobSpec{Schedule: "0 3 * 1 *"}, longest: (365 - 30) * 24 * time.Hour},
		"two days":  {spec: batchv1.CronJobSpec{Schedule: "0 3 1,2 1 *"}, longest: 364 * 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			by := &batchv1.CronJob{Spec: test.spec}
			by.Namespace, by.Name = "kube-system", "etcd-backup"
			said, err := scheduled(by, now)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(said.Subject).To(Equal("cronjob/kube-system/etcd-backup"))
			g.Expect(said.LongestSeconds).To(Equal(test.longest.Seconds()))
			g.Expect(said.Suspended).To(Equal(test.suspended))
		})
	}
	g := NewWithT(t)
	_, err := scheduled(&batchv1.CronJob{Spec: batchv1.CronJobSpec{Schedule: "nightly"}}, now)
	g.Expect(err).To(MatchError(ContainSubstring(`schedule "nightly"`)))
}
