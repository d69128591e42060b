package judge_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/scenario"
)

// meta is the METADATA of a policy of scope run.
const meta = `# METADATA
# title: A title
# description: What it is about.
# custom:
#   severity: error
#   scope: run
#   remedy: What to change.
package seatrial.own.p

`

const rules = `subjects contains "a"

deny contains {"subject": "a", "msg": "is wrong"} if false
`

// files is a source that holds these files.
func files(pairs ...string) judge.Source {
	fsys := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		fsys[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return judge.FS("own", fsys)
}

func TestLoadReportsEveryProblemWithItsPlace(t *testing.T) {
	for _, tc := range []struct {
		name   string
		source judge.Source
		want   []string
	}{
		{"syntax errors of two files", files("own/p/p.rego", meta+"subjects contains\n", "own/q/q.rego", "package seatrial.own.q\n\nx := [\n"),
			[]string{"own/own/p/p.rego:11:1: unexpected eof", "own/own/q/q.rego:4:1: unexpected eof"}},
		{"http.send and the clock", files("own/p/p.rego", meta+rules+"x := http.send({})\n\ny := time.now_ns()\n"),
			[]string{"own/own/p/p.rego:13:6: http.send is kept from policies", "own/own/p/p.rego:15:6: time.now_ns is kept from policies"}},
		{"no METADATA", files("own/p/p.rego", "package seatrial.own.p\n\n"+rules), []string{"own/own/p/p.rego:1:1: no METADATA before the package"}},
		{"unknown and missing keys", files("own/p/p.rego", strings.Replace(strings.Replace(meta, "severity: error", "sevrity: error", 1), "# title: A title\n", "", 1)+rules),
			[]string{"own/own/p/p.rego:2:3: METADATA has no title", "own/own/p/p.rego:4:5: custom has no key \"sevrity\"", "own/own/p/p.rego:4:5: custom has no severity"}},
		{"wrong values", files("own/p/p.rego", strings.Replace(strings.Replace(meta, "error", "fatal", 1), "scope: run", "scope: moment", 1)+rules),
			[]string{`own/own/p/p.rego:5:15: "fatal" is none of error, warning`, "own/own/p/p.rego:5:5: scope moment needs custom.on"}},
		{"package that does not fit", files("own/p/p.rego", strings.Replace(meta, "own.p", "own.q", 1)+rules),
			[]string{"own/own/p/p.rego:8:1: package is seatrial.own.q; in this folder it must be seatrial.own.p"}},
		{"rules that are missing or no sets", files("own/p/p.rego", meta+"subjects := {1}\n"),
			[]string{"own/own/p/p.rego:8:1: policy has no rule deny", "own/own/p/p.rego:10:1: subjects is not a set"}},
		{"id of the library", judge.FS("own", fstest.MapFS{"drain/budget_respected/budget_respected.rego": {Data: []byte(strings.Replace(meta, "own.p", "drain.budget_respected", 1) + rules)}}),
			[]string{"policy drain/budget_respected is already defined in policies/drain/budget_respected/budget_respected.rego"}},
		{"misplaced files", files("p.rego", meta, "own/p.rego", meta, "own/p/other.rego", meta),
			[]string{"own/own/p.rego: is not in a folder", "own/own/p/other.rego: the folder of a policy holds p.rego", "own/p.rego: is not in a folder"}},
		{"file too big", files("own/p/p.rego", meta+rules+strings.Repeat("# x\n", judge.MaxPolicyFile/4)), []string{"a policy file has at most 262144"}},
		{"strict compiler", files("own/p/p.rego", meta+rules+"\nx if { y := 1 }\n"), []string{"own/own/p/p.rego:14:8: assigned var y unused"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := judge.Load(judge.Embedded(), tc.source)
			var bad *judge.PolicyError
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, not a PolicyError", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing in:\n%v", want, err)
				}
			}
			if len(bad.Problems) < len(tc.want) {
				t.Errorf("got %d problems, want %d or more:\n%v", len(bad.Problems), len(tc.want), err)
			}
		})
	}
}

func TestLoadStaysInsideItsFolder(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "p.rego")
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(outside, []byte(meta+rules), 0o600), os.MkdirAll(filepath.Join(dir, "own", "p"), 0o700),
		os.Symlink(outside, filepath.Join(dir, "own", "p", "p.rego"))); err != nil {
		t.Fatal(err)
	}
	_, err := judge.Load(judge.Dir(dir))
	var bad *judge.PolicyError
	if !errors.As(err, &bad) || !strings.Contains(err.Error(), "can't be read inside of its folder") {
		t.Errorf("got %v", err)
	}
}

func TestLoadOfAFolderThatIsNotThere(t *testing.T) {
	if _, err := judge.Load(judge.Dir(filepath.Join(t.TempDir(), "none"))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestCheckScenario(t *testing.T) {
	l := library(t)
	err := l.Check(scenario.Policies{
		Params: map[string]map[string]any{
			"no/such":                     {"max": "1s"},
			"availability/service_outage": {"max": "soon", "min": "1s"},
			"drain/workload_has_budget":   {"ignoreNamespaces": "all"},
		},
		Except: []scenario.Exception{{ID: "no/policy", Subject: "[", Reason: "r"}},
	})
	for _, want := range []string{
		`there is no policy "no/such"`, `"soon" is not a duration`, `has no parameter "min" (it has max)`, "is not of the kind of the default",
		`there is no policy "no/policy"`, "is no pattern",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	good := scenario.Policies{Params: map[string]map[string]any{"availability/service_outage": {"max": "200ms"}}}
	if err := l.Check(good); err != nil {
		t.Error(err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(meta + rules)
	f.Add("# METADATA\n# title: [\npackage seatrial.own.p\n")
	f.Add("# METADATA\n# custom: {a: &a [*a]}\npackage seatrial.own.p\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := judge.Load(files("own/p/p.rego", text))
		if err != nil && err.Error() == "" {
			t.Error("error without a text")
		}
	})
}

type mapFS = fstest.MapFS
