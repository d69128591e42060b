package run

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/report"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/world"
)

// The files of a run's folder.
const (
	scenarioFile = "scenario.yaml" // as it was read
	planFile     = "plan.json"     // what was to be done
	promisedFile = "promised.json" // the world that the scenario promised, which the plan policies judged first
	journalFile  = "journal.jsonl" // what was begun and ended, synced to disk
	traceFile    = "trace.jsonl"   // what happened
	findingsFile = "findings.json" // what the policies said
	verdictFile  = "verdict.json"  // the outcome, with the digests of the evidence
	logsDir      = "logs"
	clusterDir   = "cluster"
	originFile   = "resume.json" // of a resumable run: what it was started from
	stateDir     = "state"       // of a resumable run: its cluster's keys and data, while it is not over
)

// evidence are the files that a judgement rests on; verdict.json holds their digests.
var evidence = []string{scenarioFile, planFile, promisedFile, traceFile}

// Folder is the folder of one run.
type Folder struct{ Path string }

// ErrNoRun is wrapped when a folder is not that of a run.
var ErrNoRun = errors.New("not the folder of a run")

// ErrEvidence is wrapped when the files of a run are not what its verdict was given on.
var ErrEvidence = errors.New("the evidence does not verify")

// Summary is the content of verdict.json.
type Summary struct {
	Run         string           `json:"run"`
	Scenario    string           `json:"scenario"`
	Description string           `json:"description,omitempty"`
	Provider    string           `json:"provider"`
	Version     string           `json:"kubernetesVersion"`
	Started     time.Time        `json:"started"`
	Ended       time.Time        `json:"ended"`
	Verdict     scenario.Verdict `json:"verdict"`
	// Reason says why a run ended before its steps did.
	Reason string `json:"reason,omitempty"`
	// Failure says why the run could not be carried through; such a run never passes.
	Failure  string      `json:"failure,omitempty"`
	Settings []string    `json:"settings,omitempty"`
	Ops      []report.Op `json:"ops"`
	// Kept says, a line each, how to reach a cluster that was kept and how to delete it.
	Kept []string `json:"kept,omitempty"`
	// Command reproduces the run.
	Command string `json:"command"`
	// SHA256 are the digests of the evidence, by file.
	SHA256 map[string]string `json:"sha256"`
}

// create makes the folder; it must not exist.
func create(path string) (Folder, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return Folder{}, fmt.Errorf("make the folder of runs: %w", err)
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		return Folder{}, fmt.Errorf("make the run's folder: %w", err)
	}
	f := Folder{Path: path}
	for _, dir := range []string{logsDir, clusterDir} {
		if err := os.Mkdir(f.file(dir), 0o755); err != nil {
			return f, fmt.Errorf("make the run's folder: %w", err)
		}
	}
	return f, nil
}

func (f Folder) file(name string) string { return filepath.Join(f.Path, name) }

// writeJSON writes a file in one piece: a reader sees the old one, the new one or none.
func (f Folder) writeJSON(name string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return f.write(name, append(raw, '\n'))
}

func (f Folder) write(name string, content []byte) error {
	partial := f.file(name + ".partial")
	if err := os.WriteFile(partial, content, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.Rename(partial, f.file(name)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func (f Folder) readJSON(name string, v any) error {
	raw, err := os.ReadFile(f.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read run %q: %s is missing: %w", f.Path, name, ErrNoRun)
	}
	if err != nil {
		return fmt.Errorf("read run %q: %w", f.Path, err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("read run %q: decode %s: %w", f.Path, name, errors.Join(ErrEvidence, err))
	}
	return nil
}

// digests hashes the evidence that there is.
func (f Folder) digests() (map[string]string, error) {
	sums := map[string]string{}
	for _, name := range evidence {
		sum, err := digest(f.file(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("hash %s: %w", name, err)
		}
		sums[name] = sum
	}
	return sums, nil
}

func digest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Recording is a run read back: all that a judgement needs, without a cluster.
type Recording struct {
	Folder   Folder
	Summary  Summary
	Scenario *scenario.File
	Plan     *plan.Plan
	Promised *world.World
}

// Open reads a run's folder and verifies its evidence. Its errors wrap [ErrNoRun] or [ErrEvidence].
func Open(path string) (*Recording, error) {
	f := Folder{Path: path}
	r := &Recording{Folder: f, Plan: &plan.Plan{}, Promised: world.New()}
	if err := f.readJSON(verdictFile, &r.Summary); err != nil {
		return nil, err
	}
	if err := f.verify(r.Summary.SHA256); err != nil {
		return nil, err
	}
	if err := errors.Join(f.readJSON(planFile, r.Plan), f.readJSON(promisedFile, r.Promised)); err != nil {
		return nil, err
	}
	source, err := os.ReadFile(f.file(scenarioFile))
	if err != nil {
		return nil, fmt.Errorf("read run %q: %w", path, err)
	}
	r.Scenario, err = scenario.ParseRecorded(f.file(scenarioFile), source)
	if err != nil {
		return nil, fmt.Errorf("read run %q: %w", path, errors.Join(ErrEvidence, err))
	}
	return r, nil
}

func (f Folder) verify(want map[string]string) error {
	have, err := f.digests()
	if err != nil {
		return err
	}
	var wrong []string
	for _, name := range evidence {
		if have[name] != want[name] || want[name] == "" {
			wrong = append(wrong, name)
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("read run %q: %v changed since the verdict was given, or missing: %w", f.Path, wrong, ErrEvidence)
	}
	return nil
}

// Trace opens the recording's trace.
func (r *Recording) Trace() (io.ReadCloser, error) {
	file, err := os.Open(r.Folder.file(traceFile))
	if err != nil {
		return nil, fmt.Errorf("read run %q: %w", r.Folder.Path, err)
	}
	return file, nil
}

// World is the state of the cluster in the end, as far as it was recorded.
func (r *Recording) World() (*world.World, error) {
	file, err := r.Trace()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return fold(file, "")
}

// Findings reads what the policies said when the run was judged.
func (r *Recording) Findings() (judge.Result, error) {
	var result judge.Result
	sum, err := digest(r.Folder.file(findingsFile))
	if err != nil {
		return result, fmt.Errorf("read run %q: %w", r.Folder.Path, err)
	}
	if sum != r.Summary.SHA256[findingsFile] {
		return result, fmt.Errorf("read run %q: %s changed since the verdict was given: %w", r.Folder.Path, findingsFile, ErrEvidence)
	}
	err = r.Folder.readJSON(findingsFile, &result)
	return r.Conclude(result), err
}

// List returns the summaries of the runs below a folder, oldest first. A run without a verdict, because it is under way or was
// killed, is listed with verdict "".
func List(runs string) ([]Summary, error) {
	entries, err := os.ReadDir(runs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var all []Summary
	for _, e := range entries {
		f := Folder{Path: filepath.Join(runs, e.Name())}
		if _, err := os.Stat(f.file(journalFile)); err != nil {
			continue
		}
		var s Summary
		if err := f.readJSON(verdictFile, &s); err != nil {
			s = Summary{Run: e.Name()}
			if info, err := e.Info(); err == nil {
				s.Started = info.ModTime().UTC()
			}
		}
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b Summary) int { return a.Started.Compare(b.Started) })
	return all, nil
}
