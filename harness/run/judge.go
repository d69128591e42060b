package run

import (
	"bytes"
	"context"
	"errors"

	"github.com/seatrial/seatrial/harness/judge"
	"github.com/seatrial/seatrial/harness/report"
	"github.com/seatrial/seatrial/harness/trace"
)

// Judge has the policies judge a recording: the plan, on the world that the steps met or else on the one that was promised, every
// moment, and the run. It is pure: the same recording and the same policies give the same bytes.
func Judge(ctx context.Context, lib *judge.Library, rec *Recording) (result judge.Result, err error) {
	file, err := rec.Trace()
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return lib.Run(ctx, trace.NewReader(file), rec.Plan, rec.Promised, rec.Scenario.Spec.Policies)
}

// WriteReports renders every format that has a file into the run's folder.
func (rec *Recording) WriteReports(result judge.Result) error {
	var errs error
	shown := rec.Report(result)
	for _, format := range report.Formats {
		if format.File == "" {
			continue
		}
		var out bytes.Buffer
		err := format.Render(&out, shown)
		if err == nil {
			err = rec.Folder.write(format.File, out.Bytes())
		}
		errs = errors.Join(errs, err)
	}
	return errs
}
