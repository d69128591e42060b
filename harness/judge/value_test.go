package judge

import (
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"

	"github.com/seatrial/seatrial/harness/trace"
	"github.com/seatrial/seatrial/harness/world"
)

func fullWorld() *world.World {
	w := world.New()
	w.Nodes["a"] = &world.Node{Name: "a", Powered: true}
	w.Pods["p/a"] = &world.Pod{Name: "a", Labels: map[string]string{"app": "web"}, Restarts: 3, Budgets: []string{"p/b"}, Taken: &world.Taken{How: world.TakenEvicted, HealthyAfter: 1}}
	w.Pods["p/none"] = &world.Pod{}
	w.Workloads["deployment/p/web"] = &world.Workload{Replicas: 3, Nodes: map[string]int{"a": 1}}
	w.Budgets["p/b"] = &world.Budget{Taken: []world.Taken{{Pod: "pod/p/a"}}}
	w.Probes["api/balancer"] = &world.Probe{IntervalSeconds: 0.2}
	w.Takings["p/a"] = &world.Taken{How: world.TakenEvicted}
	w.Services["p/web"] = &world.Service{}
	w.Components["component/cp-1/etcd"] = &world.Component{Restarts: 1, Ends: []string{"now"}}
	w.Etcd["etcd/cp-1"] = &trace.EtcdData{Committed: math.MaxUint64, Alarms: []string{"NOSPACE"}}
	w.EtcdEnds["etcd/cp-1"] = &trace.EtcdEndData{Node: "cp-1", Lost: true, Answered: true, Revision: math.MaxInt64}
	w.Checked["backup/nightly"] = &trace.CheckedData{Time: time.Unix(1700000000, 0).UTC()}
	w.Informers["restore/drill"] = &trace.InformersData{Objects: 40, Stale: []string{"namespace/later is not there any more"}}
	w.SecretsRead["restore/drill"] = &trace.SecretsData{Secrets: 2, Problem: "no matching key"}
	w.Starts["component/cp-1/etcd"] = &trace.StartData{Restore: "restore/drill", Time: time.Unix(1700000000, 0).UTC()}
	w.Authorities["authority/ca"] = &trace.AuthorityReplacedData{Old: "a1", New: "b2"}
	w.EtcdReplaced["etcd/cp-1"] = &trace.EtcdReplacedData{Node: "cp-1"}
	w.EtcdKept["etcd/cp-1"] = &trace.EtcdKeptData{Node: "cp-1", Folder: "/var/lib/etcd-before", SizeBytes: 1 << 20}
	w.Backups["backup/nightly"] = &trace.BackupData{Node: "cp-1", Revision: 12, Objects: 3}
	w.Stored["backup/nightly"] = &trace.StoredData{Address: "s3://backups/nightly.db", SizeBytes: 28704}
	w.Verified["backup/nightly"] = &trace.VerifiedData{Unchecked: []string{"whether it can be decrypted"}}
	w.Restores["restore/drill"] = &trace.RestoreData{Hashes: map[string]string{"cp-1": "aa"}, Differences: []string{"secrets: 3 and 2 objects"}}
	w.Kubeadms["cp-1"] = &trace.KubeadmData{Node: "cp-1", Version: "v1.34.4"}
	w.Manifests["cp-1"] = &trace.ManifestsData{Files: []trace.ManifestData{{File: "etcd.yaml", Pod: "kube-system/etcd"}}}
	w.Certificates["certificate/cp-1/kube-apiserver"] = &trace.CertificateData{Serial: "a1"}
	w.Inventories["certificates/before"] = &trace.InventoryData{Seen: []string{"certificate/cp-1/kube-apiserver"}}
	w.ServingRequests["worker-1"] = &trace.KubeletRequestsData{Node: "worker-1", Pending: []string{"certificatesigningrequest/csr-1"}}
	w.ClientRequests["worker-2"] = &trace.KubeletRequestsData{Node: "worker-2", Pending: []string{"certificatesigningrequest/csr-2"}}
	w.Unrestarted["rotation/rotate"] = &trace.UnrestartedData{Pods: []string{"pod/production/bare"}}
	w.Flags["component/cp-1/etcd@v1.34"] = &trace.FlagsData{Refusal: "no"}
	w.APIs["api/policy/v1beta1/poddisruptionbudgets"] = &trace.DeprecatedData{}
	w.Webhooks["validatingwebhookconfiguration/a/b"] = &world.Webhook{}
	return w
}

// TestValueIsWhatJSONGives keeps the conversion in step with the world's fields.
func TestValueIsWhatJSONGives(t *testing.T) {
	w := fullWorld()
	for _, collection := range reflect.ValueOf(*w).Fields() {
		if collection.Kind() == reflect.Map && collection.Len() == 0 {
			t.Errorf("a full world has one of each: %s is empty", collection.Type())
		}
	}
	term, err := toTerm(reflect.ValueOf(w))
	if err != nil {
		t.Fatal(err)
	}
	want, err := jsonValue(w)
	if err != nil {
		t.Fatal(err)
	}
	if got := term.Value; got.Compare(want) != 0 {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestDocumentReadsAnyPath(t *testing.T) {
	d := &document{World: fullWorld(), params: ast.NewObject(ast.Item(ast.StringTerm("a/b"), ast.StringTerm("x")))}
	for path, want := range map[string]string{
		"/world/pods/p%2Fa/taken/how":          `"evicted"`,
		"/world/pods/p%2Fa/restarts":           `3`,
		"/world/pods/p%2Fa/labels/app":         `"web"`,
		"/world/budgets/p%2Fb/taken/0/pod":     `"pod/p/a"`,
		"/world/probes/api%2Fbalancer/error":   "", // left out, as in JSON
		"/params/no":                           "",
		"/params/a%2Fb":                        `"x"`,
		"/world/pods/p%2Fgone":                 "",
		"/world/pods/p%2Fnone/taken":           "",
		"/world/pods/p%2Fa/nothing":            "",
		"/world/budgets/p%2Fb/taken/1":         "",
		"/world/budgets/p%2Fb/taken/first":     "",
		"/world/pods/p%2Fa/restarts/and/below": "",
		"/first":                               "",
	} {
		parsed, ok := storage.ParsePathEscaped(path)
		if !ok {
			t.Fatalf("path %s", path)
		}
		got, err := d.Read(t.Context(), nil, parsed)
		switch {
		case want == "" && !storage.IsNotFound(err):
			t.Errorf("%s: got %v, %v; want not found", path, got, err)
		case want != "" && (err != nil || got.(ast.Value).String() != want):
			t.Errorf("%s: got %v, %v; want %s", path, got, err, want)
		}
	}
}
