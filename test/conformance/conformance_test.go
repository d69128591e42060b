// Package conformance runs scenarios on both providers: the verdict and the findings must be the same. docs/fidelity.md lists what differs, with its
// reason, and nothing else may. A scenario that one of them can't run must be as it expects on the other.
//
//	go test ./test/conformance                                 # the scenarios that CI compares each time
//	SEATRIAL_CONFORMANCE=all go test ./test/conformance        # all of them; `make conformance`
package conformance

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"

	"github.com/seatrial/seatrial/test/berth"
)

func TestMain(m *testing.M) { os.Exit(berth.Main(m)) }

// everyTime are the scenarios that CI compares each time, the longest first: two that pass and two that must not.
var everyTime = []string{"upgrade", "drain-web", "known-bad/bare-pod-forced", "known-bad/budget-allows-nothing-drained"}

const root = "../.."

var providers = []string{"kind", "embedded"} // the slower one first

// scenarios are those to compare: everyTime, all, or the listed ones.
func scenarios(t *testing.T) []string {
	switch chosen := os.Getenv("SEATRIAL_CONFORMANCE"); chosen {
	case "":
		return everyTime
	case "all":
		return all(t)
	default:
		return strings.Split(chosen, ",")
	}
}

// all are the scenarios that need a cluster: a recorded run is judged without one.
func all(t *testing.T) []string {
	var found []string
	dir := filepath.Join(root, "scenarios")
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "scenario.yaml" {
			return err
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), "verdict.json")); err == nil {
			return nil
		}
		name, err := filepath.Rel(dir, filepath.Dir(path))
		found = append(found, filepath.ToSlash(name))
		return err
	})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return found
}

// outcome is what must be the same.
type outcome struct {
	Status   int
	Verdict  string
	Findings []string // "policy subject", sorted
	Unknown  []string // policies that could not tell
}

// rehearsal is a run of a scenario.
type rehearsal struct {
	outcome
	said string // its findings in words
}

func TestConformance(t *testing.T) {
	berth.NeedEngine(t)
	known := differences(t)
	for _, name := range scenarios(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // an upgrade mostly waits
			g := NewWithT(t)
			if can := able(t, name); len(can) == 1 {
				asExpected(t, can[0], name)
				return
			}
			embedded, kind := rehearseBoth(t, name)
			t.Cleanup(func() {
				if t.Failed() { // last, for CI shows the end of what a test printed
					t.Logf("embedded found:\n%s\nkind found:\n%s", embedded.said, kind.said)
				}
			})
			g.Expect(embedded.Verdict).To(Equal(expected(g, name)), "two runs that both went wrong are alike too: %+v", embedded.outcome)
			if reason, ok := known[name]; ok {
				g.Expect(kind.outcome).NotTo(Equal(embedded.outcome), "docs/fidelity.md lists a difference that is none any more: %s", reason)
				t.Logf("differs, as docs/fidelity.md says: %s\nembedded: %+v\nkind: %+v", reason, embedded.outcome, kind.outcome)
				return
			}
			g.Expect(kind.outcome).To(Equal(embedded.outcome))
		})
	}
}

// able are the providers that have the capabilities which a scenario needs.
func able(t *testing.T, name string) []string {
	b := berth.New(t)
	return slices.DeleteFunc(slices.Clone(providers), func(provider string) bool {
		out, status := b.Run("plan", "--provider", provider, filepath.Join("scenarios", name))
		return status == 2 && strings.Contains(out, "needs the capability")
	})
}

// asExpected rehearses a scenario on the only provider that can: there is nothing to compare with but what it expects.
func asExpected(t *testing.T, provider, name string) {
	b := berth.New(t)
	t.Cleanup(func() { b.NothingInEngine(time.Second) })
	out, status := b.Run("test", "--provider", provider, "--runs", b.Runs, filepath.Join("scenarios", name))
	b.Expect(status).To(Equal(0), out)
	b.Expect(out).To(ContainSubstring("1 passed, 0 failed, 0 skipped"))
}

// rehearseBoth rehearses a scenario on both providers at once.
func rehearseBoth(t *testing.T, name string) (embedded, kind rehearsal) {
	rehearsals := map[string]*rehearsal{"embedded": &embedded, "kind": &kind}
	t.Run("on", func(t *testing.T) {
		for _, provider := range providers {
			t.Run(provider, func(t *testing.T) {
				t.Parallel()
				b := berth.New(t)
				t.Cleanup(func() { b.NothingInEngine(time.Second) })
				*rehearsals[provider] = rehearse(t, b, provider, name)
			})
		}
	})
	return embedded, kind
}

// expected is the verdict that the scenario expects.
func expected(g *WithT, name string) string {
	content, err := os.ReadFile(filepath.Join(root, "scenarios", name, "scenario.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	var file struct {
		Spec struct{ Expect struct{ Verdict string } }
	}
	g.Expect(yaml.Unmarshal(content, &file)).To(Succeed())
	return cmp.Or(file.Spec.Expect.Verdict, "Passed")
}

// rehearse runs a scenario on a provider.
func rehearse(t *testing.T, b *berth.Berth, provider, name string) rehearsal {
	out, status := b.Run("run", "--provider", provider, "--runs", b.Runs, "-o", "json", filepath.Join("scenarios", name))
	folders := b.RunFolders()
	b.Expect(folders).To(HaveLen(1), out)
	raw, err := os.ReadFile(filepath.Join(folders[0], "findings.json"))
	b.Expect(err).NotTo(HaveOccurred(), out)
	var result struct {
		Verdict  string
		Policies []struct{ ID, Outcome, Reason string }
		Findings []struct{ Policy, Severity, Subject, Accepted, Op, Message string }
	}
	b.Expect(json.Unmarshal(raw, &result)).To(Succeed())
	o := rehearsal{outcome: outcome{Status: status, Verdict: result.Verdict}}
	for _, f := range result.Findings {
		o.Findings = append(o.Findings, strings.Join([]string{f.Policy, f.Severity, anonymous(f.Subject), f.Accepted}, " "))
		o.said += fmt.Sprintf("%s: %s %s (%s)\n", f.Policy, f.Subject, f.Message, f.Op)
	}
	for _, p := range result.Policies {
		if p.Outcome == "unknown" {
			o.Unknown = append(o.Unknown, p.ID+": "+p.Reason)
		}
	}
	summary, err := os.ReadFile(filepath.Join(folders[0], "summary.md"))
	b.Expect(err).NotTo(HaveOccurred())
	if want := expected(b.WithT, name); o.Verdict != want { // its folder goes with the test
		t.Logf("on %s, expected %s:\n%s", provider, want, summary)
	}
	if provider == "kind" && name == "upgrade" {
		b.Expect(runbook(string(summary))).To(Equal(upgradeRunbook))
	}
	slices.Sort(o.Findings)
	o.Findings = slices.Compact(o.Findings)
	return o
}

// upgradeRunbook is what the report says was done for scenarios/upgrade.
// https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/
var upgradeRunbook = []string{
	"cp-1: kubeadm version --output=short",
	"cp-1: kubeadm upgrade plan v1.34.x",
	"cp-1: kubeadm version --output=short",
	"cp-1: kubeadm upgrade apply --yes v1.34.x",
	"cp-1: kubelet --version",
	"cp-1: systemctl daemon-reload",
	"cp-1: systemctl restart kubelet",
	"API: kubectl cordon worker-1",
	"API: kubectl drain worker-1 --ignore-daemonsets --timeout=2m0s",
	"worker-1: kubeadm version --output=short",
	"worker-1: kubeadm upgrade node",
	"worker-1: kubelet --version",
	"worker-1: systemctl daemon-reload",
	"worker-1: systemctl restart kubelet",
	"API: kubectl uncordon worker-1",
	"API: kubectl cordon worker-2",
	"API: kubectl drain worker-2 --ignore-daemonsets --timeout=2m0s",
	"worker-2: kubeadm version --output=short",
	"worker-2: kubeadm upgrade node",
	"worker-2: kubelet --version",
	"worker-2: systemctl daemon-reload",
	"worker-2: systemctl restart kubelet",
	"API: kubectl uncordon worker-2",
}

// patch is the last part of a version, which depends on what the store has.
var patch = regexp.MustCompile(`\b(v1\.\d+)\.\d+\b`)

// commandRow is a row of the report's table of commands: | 3.4.1 | `cp-1` | `kubeadm upgrade apply` | …
var commandRow = regexp.MustCompile(`(?m)^\| [0-9.]+ \| (?:<code>)?([^ <]+)(?:</code>)? \| <code>(.+?)</code> \|`)

// runbook are the commands of a report, but those that bring programs to a node in place of its package manager.
func runbook(summary string) []string {
	_, commands, _ := strings.Cut(summary, "\n### Commands\n")
	commands, _, _ = strings.Cut(commands, "\n### ")
	var lines []string
	for _, row := range commandRow.FindAllStringSubmatch(commands, -1) {
		if where, command := row[1], row[2]; !strings.HasPrefix(command, "ls ") && !strings.HasPrefix(command, "install ") {
			lines = append(lines, patch.ReplaceAllString(where+": "+command, "$1.x"))
		}
	}
	return lines
}

// generated is the end of the name of a ReplicaSet's pod, which is drawn by lot.
var generated = regexp.MustCompile(`^(pod/[^/]+/.+)-[a-z0-9]{8,10}-[a-z0-9]{5}$`)

func anonymous(subject string) string { return generated.ReplaceAllString(subject, "$1-*") }

// row is a line of the table of differences: | `scenario` | reason |.
var row = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (.+) \\|$")

// differences reads docs/fidelity.md.
func differences(t *testing.T) map[string]string {
	doc, err := os.ReadFile(filepath.Join(root, "docs", "fidelity.md"))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	_, section, found := strings.Cut(string(doc), "\n## Scenarios whose outcome differs\n")
	NewWithT(t).Expect(found).To(BeTrue(), "docs/fidelity.md has no such section")
	section, _, _ = strings.Cut(section, "\n## ")
	known := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(section, -1) {
		NewWithT(t).Expect(all(t)).To(ContainElement(m[1]), "docs/fidelity.md names a scenario that there is not")
		known[m[1]] = m[2]
	}
	return known
}

func TestAnonymous(t *testing.T) {
	g := NewWithT(t)
	g.Expect(anonymous("pod/production/web-7d4b9c6f5d-x2x7q")).To(Equal("pod/production/web-*"))
	g.Expect(anonymous("pod/production/db-0")).To(Equal("pod/production/db-0"))
	g.Expect(anonymous("node/worker-1")).To(Equal("node/worker-1"))
}
