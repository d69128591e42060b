// Package report renders what is known of a run: one function per format, all
// pure, all over the same [Report].
//
//	report.Markdown(os.Stdout, r)
package report

import (
	"time"

	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
)

// Report is all that the formats show.
type Report struct {
	// Run is the run's id.
	Run         string    `json:"run"`
	Scenario    string    `json:"scenario"`
	Description string    `json:"description,omitempty"`
	Provider    string    `json:"provider"`
	Version     string    `json:"kubernetesVersion"`
	Started     time.Time `json:"started"`
	Ended       time.Time `json:"ended"`
	// Folder is where the evidence is.
	Folder string `json:"folder"`
	// Reproduce is the command that does the same again.
	Reproduce string           `json:"reproduce"`
	Verdict   scenario.Verdict `json:"verdict"`
	// Reason says in one sentence why the verdict is not Passed.
	Reason string `json:"reason,omitempty"`
	// Settings are what makes the rehearsal differ from production (a faster clock, a disabled fsync, a machine that stood still), each a sentence.
	Settings []string `json:"settings,omitempty"`
	// Kept says, a line each, how to reach the cluster and how to delete it, when it was kept.
	Kept []string `json:"kept,omitempty"`
	Ops  []Op     `json:"ops"`
	// Result is what the policies said; Result.Verdict is the report's Verdict unless the run itself errored.
	Result judge.Result `json:"result"`
}

// State is what became of an op.
type State string

// The states of an op, as in the trace; Pending is an op that the run did not come to.
const (
	Pending State = "pending"
	Done    State = trace.OpDone
	Failed  State = trace.OpFailed
	Errored State = trace.OpErrored
	Skipped State = trace.OpSkipped
)

// Op is one operation and what became of it.
type Op struct {
	Number string `json:"number"`
	ID     string `json:"id"`
	Title  string `json:"title"`
	// Depth in the tree of the plan, 0 at the top.
	Depth int   `json:"depth"`
	State State `json:"state"`
	// From is when it began; nil for an op that the run did not come to.
	From *time.Time `json:"from,omitempty"`
	// Seconds that it took.
	Seconds float64 `json:"seconds"`
	Error   string  `json:"error,omitempty"`
	// Command is kubectl's own for what the op does through the API, or nil.
	Command []string `json:"command,omitempty"`
	// Blockers are the objects that kept it from finishing.
	Blockers []trace.Blocker `json:"blockers,omitempty"`
	// Log is the path of the op's log relative to Folder, or "".
	Log string `json:"log,omitempty"`
}
