// Package flagcheck tells from how a program of Kubernetes ended whether it takes the flags that it was given. Run with --version after
// them, it reads them all, prints its version and ends.
package flagcheck

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/proc"
)

// Answer is what a component's program said of its flags by ending with err, nil or not. An error that is not the end of a program with a status is no answer, and is returned.
func Answer(component string, err error) (cluster.FlagCheck, error) {
	check := cluster.FlagCheck{Component: component}
	ended := (*proc.ExitError)(nil)
	if !errors.As(err, &ended) || ended.Status <= 0 {
		return check, err
	}
	check.Refusal = refusal(ended.LastLines)
	return check, nil
}

// logged is the error in a line of klog, with which a component of Kubernetes ends.
var logged = regexp.MustCompile(`^E\d{4} .*\] "command failed" err=(".*")$`)

// refusal is why a program ended: its last line says it.
func refusal(lines []string) string {
	if len(lines) == 0 {
		return "it ended and said nothing"
	}
	last := strings.TrimSpace(lines[len(lines)-1])
	if match := logged.FindStringSubmatch(last); match != nil {
		if text, err := strconv.Unquote(match[1]); err == nil {
			last = text
		}
	}
	return strings.TrimPrefix(last, "Error: ")
}
