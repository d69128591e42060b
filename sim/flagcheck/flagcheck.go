// Package flagcheck tells from how a program of Kubernetes ended whether it takes the flags that it was given. Run with --version after
// them, it reads them all, prints its version and ends.
package flagcheck

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/proc"
)

// The statuses with which a program of Kubernetes ends that does not start: with an error (k8s.io/component-base/cli), and by a panic of Go. Others are of what ran
// it: not found, not executable, killed.
const (
	failed   = 1
	panicked = 2
)

// Answer is what a component's program said of its flags by ending with err, nil or not. An error that is not such an end is no answer, and is returned.
func Answer(component string, err error) (cluster.FlagCheck, error) {
	check := cluster.FlagCheck{Component: component}
	ended := (*proc.ExitError)(nil)
	if !errors.As(err, &ended) || ended.Status != failed && ended.Status != panicked {
		return check, err
	}
	check.Refusal = refusal(ended.LastLines)
	return check, nil
}

// Impossible is a flag that no kubelet takes. A kubelet prints its version before it looks at feature gates and at its configuration file; with this flag it reads them all, and ends when
// it validates what it read, before it does anything (cmd/kubelet/app/server.go).
const Impossible = "--max-pods=-1"

const (
	invalid    = "failed to validate kubelet configuration, error: "
	impossible = "invalid configuration: maxPods (--max-pods) -1 must not be a negative number"
)

// Kubelet is what a kubelet said of its flags and its configuration file by ending with err; [Impossible] was one of the flags.
func Kubelet(err error) (cluster.FlagCheck, error) {
	if err == nil {
		return cluster.FlagCheck{}, fmt.Errorf("expected the kubelet to refuse %s, seen: it ended well", Impossible)
	}
	check, err := Answer("kubelet", err)
	reasons, validated := strings.CutPrefix(check.Refusal, invalid)
	if err != nil || !validated {
		return check, err
	}
	if path := strings.LastIndex(reasons, ", path: "); path >= 0 { // and then the whole configuration
		reasons = reasons[:path]
	}
	check.Refusal = strings.Join(slices.DeleteFunc(strings.Split(strings.Trim(reasons, "[]"), ", "), func(reason string) bool { return reason == impossible }), ", ")
	return check, nil
}

// logged is the error in a line of klog, with which a component of Kubernetes ends.
var logged = regexp.MustCompile(`^E\d{4} .*\] "command failed" err=(".*")$`)

// refusal is why a program ended: its last line says it, or the one that a panic begins with.
func refusal(lines []string) string {
	if len(lines) == 0 {
		return "it ended and said nothing"
	}
	for _, line := range lines {
		if reason, ok := strings.CutPrefix(line, "panic: "); ok {
			return reason
		}
	}
	last := strings.TrimSpace(lines[len(lines)-1])
	if match := logged.FindStringSubmatch(last); match != nil {
		if text, err := strconv.Unquote(match[1]); err == nil {
			last = text
		}
	}
	return strings.TrimPrefix(last, "Error: ")
}
