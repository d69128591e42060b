// Package judge lets policies judge a plan or a recorded run.
//
//	library, err := judge.Load(judge.Embedded(), judge.Dir("our-policies"))
//	result, err := library.Run(ctx, trace.NewReader(file), plan, promised, scenario.Spec.Policies)
//
// A policy is Rego in a folder of its own; docs/writing-a-policy.md says how it is
// written and what it sees. Judging is pure: the recording, the plan and the policies
// decide, no clock and no network does, and equal input gives equal bytes. What
// can't be decided is Unknown, and Unknown never passes.
package judge

import (
	"time"

	"github.com/seatrial/seatrial/harness/roll"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/world"
)

// Severity says what a finding does to the verdict.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // the run fails; a finding of a plan policy stops it before it touches anything
	Warning Severity = "warning" // reported, the verdict stays
)

// Scope says what a policy is evaluated over.
type Scope string

// The scopes.
const (
	ScopePlan   Scope = "plan"   // the plan, before the first op
	ScopeMoment Scope = "moment" // every change that concerns the policy
	ScopeRun    Scope = "run"    // the whole run, once at the end
)

// Finding is one sentence that a policy said about one subject.
type Finding struct {
	Policy   string   `json:"policy"`
	Severity Severity `json:"severity"`
	Scope    Scope    `json:"scope"`
	Subject  string   `json:"subject"`
	Message  string   `json:"message"`
	// Change says what to change for this subject, or "": then the policy's Remedy does.
	Change string `json:"change,omitempty"`
	// Op under way when the finding was first made, or "".
	Op string `json:"op,omitempty"`
	// From and To are when it held; both zero for scope plan.
	From *time.Time `json:"from,omitempty"`
	To   *time.Time `json:"to,omitempty"`
	// FromSeq and ToSeq are the numbers of the trace events where it began and ended: the evidence.
	FromSeq int64 `json:"fromSeq,omitempty"`
	ToSeq   int64 `json:"toSeq,omitempty"`
	// Moments is how many evaluations found it.
	Moments int `json:"moments,omitempty"`
	// Open says that it still held when the steps ended.
	Open bool `json:"open,omitempty"`
	// Accepted is the reason of the scenario's exception, or "".
	Accepted string `json:"accepted,omitempty"`
}

// Outcome is what became of one policy.
type Outcome string

// The outcomes.
const (
	Held       Outcome = "held"       // it looked at something and found nothing wrong
	Broken     Outcome = "broken"     // it found something wrong that no exception accepts
	Unknown    Outcome = "unknown"    // it looked at nothing, or could not be evaluated: this never passes
	NotApplied Outcome = "notApplied" // the plan has nothing that it is about; Reason says what
)

// PolicyResult is what became of one policy.
type PolicyResult struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Severity Severity `json:"severity"`
	Scope    Scope    `json:"scope"`
	Outcome  Outcome  `json:"outcome"`
	// Reason explains Unknown and NotApplied.
	Reason string `json:"reason,omitempty"`
	// Remedy says what to change when it is broken, in a sentence, from the policy's METADATA; or "".
	Remedy string `json:"remedy,omitempty"`
	// Subjects is the number of different subjects that it looked at.
	Subjects int `json:"subjects"`
}

// Command is a command that was executed on a node.
type Command struct {
	// Op is the id of the operation.
	Op   string   `json:"op"`
	Node string   `json:"node"`
	Argv []string `json:"argv"`
	// Seconds that it took.
	Seconds float64 `json:"seconds"`
	// Error says how it ended, when that was not with exit status 0.
	Error string `json:"error,omitempty"`
}

// Result is what the policies say of a plan or a run. Equal input gives equal bytes: policies are ordered by id, findings by
// where they begin, policy and subject.
type Result struct {
	Verdict scenario.Verdict `json:"verdict"`
	// Reasons say why a run can't be told to have passed, apart from its policies: an op that errored, a recording that breaks off.
	Reasons  []string       `json:"reasons,omitempty"`
	Policies []PolicyResult `json:"policies"`
	Findings []Finding      `json:"findings"`
	// Rolls say whether nodes could be drained one after the other, and how, as the world was before the steps: by the id of the operation that such a roll is.
	Rolls map[string]roll.Planned `json:"rolls,omitempty"`
	// Drills are what the restores of the run came to.
	Drills []world.Drill `json:"drills,omitempty"`
	// Commands are what was executed on nodes in the operations, in the order in which it ended.
	Commands []Command `json:"commands,omitempty"`
	// UnusedExceptions accepted nothing: what they were written for is gone, or they never fitted.
	UnusedExceptions []scenario.Exception `json:"unusedExceptions,omitempty"`
}
