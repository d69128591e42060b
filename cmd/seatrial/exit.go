package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/seatrial/seatrial/harness/backup"
	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/plan"
	"github.com/seatrial/seatrial/harness/run"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
	"github.com/seatrial/seatrial/sim/engine"
	"github.com/seatrial/seatrial/sim/release"
)

// The exit statuses.
const (
	exitOK       = 0
	exitFailed   = 1  // a policy was broken, or a test did not go as expected
	exitUsage    = 2  // usage, invalid scenario or policy
	exitErrored  = 3  // we could not tell
	exitEvidence = 4  // evidence that does not verify
	exitDefect   = 70 // a defect of seatrial
)

// usageError is a command line that can't be meant.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// verdictError carries a verdict that is not Passed to the exit status; it has been reported already.
type verdictError struct{ verdict scenario.Verdict }

func (e verdictError) Error() string { return "verdict " + string(e.verdict) }

// exitStatus reports an error, if there is one, and says how the process ends. It is the one place where errors become numbers.
func exitStatus(ctx context.Context, err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	var verdict verdictError
	reported := errors.As(err, &verdict)
	if rest := beside(err); rest != nil {
		fmt.Fprintf(stderr, "seatrial: %v\n", rest)
	}
	var interrupted signalError
	if errors.As(context.Cause(ctx), &interrupted) {
		return 128 + int(interrupted.Signal)
	}
	switch {
	case reported && verdict.verdict == scenario.Failed:
		return exitFailed
	case reported:
		return exitErrored
	case isUsage(err):
		return exitUsage
	case errors.Is(err, run.ErrEvidence), errors.Is(err, trace.ErrDamaged), errors.Is(err, backup.ErrUnfit):
		return exitEvidence
	}
	return exitErrored
}

// beside is what there is to say of an error beside the verdict, which has been reported already.
func beside(err error) error {
	var verdict verdictError
	if !errors.As(err, &verdict) {
		return err
	}
	joined, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // only the outermost joins are taken apart
	if !ok {
		return nil
	}
	var rest []error
	for _, e := range joined.Unwrap() {
		rest = append(rest, beside(e))
	}
	return errors.Join(rest...)
}

func isUsage(err error) bool {
	var (
		usage    usageError
		invalid  scenario.Errors
		policies *judge.PolicyError
		missing  *plan.MissingError
		version  *release.InputError
		engines  *engine.UnknownError
	)
	return errors.As(err, &usage) || errors.As(err, &invalid) || errors.As(err, &policies) || errors.As(err, &missing) ||
		errors.Is(err, run.ErrNoRun) || errors.Is(err, run.ErrNotResumable) || errors.Is(err, fs.ErrNotExist) || errors.As(err, &version) || errors.As(err, &engines)
}
