package world_test

import (
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/trace"
	"github.com/seatrial/seatrial/harness/world"
)

// TestFacts: what a member of etcd said last counts; each version's answer to the flags of a component is kept.
func TestFacts(t *testing.T) {
	v := begin(t)
	member := func(applied uint64) {
		v.event(trace.KindFact, "etcd/cp-1", trace.EtcdStatus, trace.EtcdData{Node: "cp-1", Applied: applied, Alarms: []string{}})
	}
	member(1)
	member(2)
	v.Expect(v.fold.World.Etcd).To(HaveLen(1))
	v.Expect(v.fold.World.Etcd["etcd/cp-1"].Applied).To(Equal(uint64(2)))

	for _, serial := range []string{"a1", "b2"} {
		v.event(trace.KindFact, "certificate/cp-1/kube-apiserver", trace.CertificateServed, trace.CertificateData{Node: "cp-1", Component: "kube-apiserver", Serial: serial})
	}
	v.Expect(v.fold.World.Certificates).To(HaveLen(1))
	v.Expect(v.fold.World.Certificates["certificate/cp-1/kube-apiserver"].Serial).To(Equal("b2"))

	v.event(trace.KindFact, "node/cp-1", trace.ManifestsListed, trace.ManifestsData{Node: "cp-1", Files: []trace.ManifestData{{File: "etcd.yaml", Pod: "kube-system/etcd"}}})
	v.Expect(v.fold.World.Manifests["cp-1"].Files).To(HaveLen(1))

	for _, version := range []string{"v1.33.13", "v1.34.4"} {
		v.event(trace.KindFact, "node/cp-1", trace.KubeadmInstalled, trace.KubeadmData{Node: "cp-1", Version: version})
	}
	v.Expect(v.fold.World.Kubeadms["cp-1"].Version).To(Equal("v1.34.4"), "the one that works there now")

	const server = "component/cp-1/kube-apiserver"
	for _, version := range []string{"v1.34", "v1.35"} {
		v.event(trace.KindFact, server, trace.FlagsChecked, trace.FlagsData{Version: version, Component: server, Refusal: "by " + version})
	}
	v.Expect(v.fold.World.Flags).To(HaveLen(2))
	v.Expect(v.fold.World.Flags[server+"@v1.35"].Refusal).To(Equal("by v1.35"))
	v.Expect(v.fold.World.Entity(world.Ref{Collection: "flags", Key: server + "@v1.34"})).To(HaveField("Refusal", "by v1.34"))
}

// TestRestoreFacts: what a member had when it was lost counts, and not that it was stopped afterwards; a backup that was tried again is as it was found last.
func TestRestoreFacts(t *testing.T) {
	v := begin(t)
	v.event(trace.KindFact, "backup/nightly", trace.BackupTaken, trace.BackupData{Revision: 400})
	v.event(trace.KindFact, "backup/nightly", trace.BackupVerified, trace.VerifiedData{Problem: "damaged"})
	v.event(trace.KindFact, "backup/nightly", trace.BackupVerified, trace.VerifiedData{Objects: 3})
	v.event(trace.KindFact, "etcd/cp-1", trace.EtcdEnding, trace.EtcdEndData{Node: "cp-1", Lost: true, Answered: true, Revision: 500})
	v.event(trace.KindFact, "etcd/cp-1", trace.EtcdEnding, trace.EtcdEndData{Node: "cp-1"})
	v.event(trace.KindFact, "etcd/cp-2", trace.EtcdEnding, trace.EtcdEndData{Node: "cp-2", Revision: 500})
	v.event(trace.KindFact, "etcd/cp-2", trace.EtcdEnding, trace.EtcdEndData{Node: "cp-2", Revision: 501})
	v.event(trace.KindFact, "authority/ca", trace.AuthorityReplaced, trace.AuthorityReplacedData{Old: "a1", New: "b2"})
	v.event(trace.KindFact, "etcd/cp-1", trace.EtcdKept, trace.EtcdKeptData{Node: "cp-1", Folder: "/var/lib/etcd-before-drill", SizeBytes: 1 << 20})
	v.event(trace.KindFact, "etcd/cp-1", trace.EtcdReplaced, trace.EtcdReplacedData{Node: "cp-1", Backup: "backup/nightly"})
	v.event(trace.KindFact, "restore/drill", trace.EtcdRestored, trace.RestoreData{Backup: "backup/nightly", Revision: 1400})
	v.event(trace.KindFact, "backup/nightly", trace.BackupChecked, trace.CheckedData{Time: time.Unix(1700000000, 0)})
	v.event(trace.KindFact, "restore/drill", trace.InformersCompared, trace.InformersData{Objects: 40})
	v.event(trace.KindFact, "restore/drill", trace.SecretsRead, trace.SecretsData{Secrets: 2})
	v.event(trace.KindFact, "component/cp-1/etcd", trace.ComponentStarted, trace.StartData{Restore: "restore/drill"})
	w := v.fold.World
	v.Expect(w.Checked["backup/nightly"].Time).To(BeTemporally("==", time.Unix(1700000000, 0)))
	v.Expect(w.Informers["restore/drill"].Objects).To(Equal(40))
	v.Expect(w.SecretsRead["restore/drill"].Secrets).To(Equal(2))
	v.Expect(w.Starts["component/cp-1/etcd"].Restore).To(Equal("restore/drill"))
	v.Expect(w.Backups["backup/nightly"].Revision).To(Equal(int64(400)))
	v.Expect(*w.Verified["backup/nightly"]).To(And(HaveField("Problem", ""), HaveField("Objects", 3)))
	v.Expect(w.EtcdEnds["etcd/cp-2"].Revision).To(BeEquivalentTo(501), "it was asked again when nobody could write any more")
	v.Expect(*w.EtcdEnds["etcd/cp-1"]).To(And(HaveField("Lost", true), HaveField("Revision", int64(500))))
	v.Expect(w.Authorities["authority/ca"].New).To(Equal("b2"))
	v.Expect(w.EtcdKept["etcd/cp-1"].SizeBytes).To(BeEquivalentTo(1 << 20))
	v.Expect(w.EtcdReplaced["etcd/cp-1"].Backup).To(Equal("backup/nightly"))
	v.Expect(w.Restores["restore/drill"].Revision).To(Equal(int64(1400)))
}

// TestEtcdSilence: a member that does not answer is no outage of the API.
func TestEtcdSilence(t *testing.T) {
	v := begin(t)
	v.event(trace.KindProbe, "etcd/cp-1", trace.ProbeFail, trace.ProbeData{Error: "gone"})
	v.event(trace.KindProbe, "etcd/cp-1", trace.ProbeOK, trace.ProbeData{})
	got := v.fold.Intervals(time.Date(2026, 1, 1, 0, 0, 9, 0, time.UTC), 9)
	v.Expect(got).To(HaveLen(1))
	v.Expect(got[0]).To(And(HaveField("Condition", world.EtcdSilent), HaveField("Subject", "etcd/cp-1"), HaveField("Reason", "gone")))
}

// TestQuorumLost: of three members two have to serve. One alone has no quorum.
func TestQuorumLost(t *testing.T) {
	v := begin(t)
	say := func(node, change, err string) {
		v.event(trace.KindProbe, "etcd/"+node, change, trace.ProbeData{Error: err})
	}
	lost := func() []world.Interval {
		return slices.DeleteFunc(v.fold.Intervals(time.Date(2026, 1, 1, 0, 0, 9, 0, time.UTC), 9), func(iv world.Interval) bool { return iv.Condition != world.EtcdQuorumLost })
	}
	say("cp-1", trace.ProbeFail, "gone")
	v.Expect(lost()).To(BeEmpty())
	say("cp-2", trace.ProbeOK, "")
	say("cp-3", trace.ProbeOK, "")
	v.Expect(lost()).To(HaveLen(1), "two members need each other; until the third was heard of there were no more")
	v.Expect(lost()[0].Open).To(BeFalse())
	say("cp-2", trace.ProbeFail, "knows no leader")
	v.Expect(lost()).To(HaveLen(2))
	v.Expect(lost()[1]).To(And(HaveField("Open", true), HaveField("Subject", "etcd"), HaveField("Reason", "2 of 3 members do not serve: etcd/cp-1: gone; etcd/cp-2: knows no leader")))
}
