package hollow

import (
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Annotations of a pod that say how its process behaves. All containers of a pod behave alike. Durations are written as Go does ("5s",
// "1m30s"). A pod with a value that can't be read is not started: it waits with the reason CreateContainerConfigError and says which annotation is
// wrong, as it would under a kubelet that can't make its containers. Values are read again whenever the pod changes.
const (
	// AnnotationStartup is how long the pod takes from being bound until its containers run: image pull and start. Default "0s".
	AnnotationStartup = "sim.seatrial.dev/startup"
	// AnnotationReady is how long the containers run until they are Ready, or "never". Default: the longest initialDelaySeconds of
	// the readiness probes, "0s" without one.
	AnnotationReady = "sim.seatrial.dev/ready"
	// AnnotationCrashLoop set to "true" makes the process exit again and again, with code 1 after one second unless AnnotationExitCode and
	// AnnotationExitAfter say otherwise. It is never Ready. Restarts follow the pod's restartPolicy and the kubelet's back-off.
	AnnotationCrashLoop = "sim.seatrial.dev/crash-loop"
	// AnnotationExitAfter is how long the process runs before it exits by itself; more than zero. Default: it runs for ever.
	AnnotationExitAfter = "sim.seatrial.dev/exit-after"
	// AnnotationExitCode is what the process exits with, 0 to 255. Default 0. It needs AnnotationExitAfter or AnnotationCrashLoop.
	AnnotationExitCode = "sim.seatrial.dev/exit-code"
	// AnnotationShutdown is how long the process takes to stop after SIGTERM; the pod's grace period caps it. Default: the whole grace period,
	// as for a process that ignores the signal.
	AnnotationShutdown = "sim.seatrial.dev/shutdown"
)

// never stands for a duration that does not end.
const never time.Duration = -1

// crashAfter is how long a crash-looping process runs.
const crashAfter = time.Second

// behaviour is what the annotations of a pod say.
type behaviour struct {
	startup   time.Duration
	ready     time.Duration // after the start; never: it is not going to be
	exitAfter time.Duration // after the start; never: it runs until it is stopped
	exitCode  int32
	shutdown  time.Duration // after SIGTERM; never: it has to be killed
}

// behaviourOf reads the annotations of a pod. The error names the annotation.
func behaviourOf(pod *corev1.Pod) (behaviour, error) {
	r := reader{annotations: pod.Annotations}
	b := behaviour{exitAfter: never, shutdown: never, ready: probeDelay(pod)}
	b.ready = r.duration(AnnotationReady, b.ready, 0, "never")
	if r.boolean(AnnotationCrashLoop) {
		b.exitAfter, b.exitCode, b.ready = crashAfter, 1, never
	}
	b.startup = r.duration(AnnotationStartup, 0, 0, "")
	b.exitAfter = r.duration(AnnotationExitAfter, b.exitAfter, 1, "")
	b.shutdown = r.duration(AnnotationShutdown, b.shutdown, 0, "")
	b.exitCode = r.exitCode(b)
	return b, r.err
}

// probeDelay is the longest initial delay of the pod's readiness probes.
func probeDelay(pod *corev1.Pod) time.Duration {
	var longest int32
	for _, c := range pod.Spec.Containers {
		if c.ReadinessProbe != nil {
			longest = max(longest, c.ReadinessProbe.InitialDelaySeconds)
		}
	}
	return time.Duration(longest) * time.Second
}

// reader reads annotations and keeps the first error.
type reader struct {
	annotations map[string]string
	err         error
}

func (r *reader) fail(key, want string) {
	if r.err == nil {
		r.err = fmt.Errorf("annotation %s: %q is not %s", key, r.annotations[key], want)
	}
}

func (r *reader) boolean(key string) bool {
	text, ok := r.annotations[key]
	if ok && text != "true" && text != "false" {
		r.fail(key, `"true" or "false"`)
	}
	return text == "true"
}

// duration reads a duration of at least least; the word, if not "", stands for never.
func (r *reader) duration(key string, absent, least time.Duration, word string) time.Duration {
	text, ok := r.annotations[key]
	if !ok {
		return absent
	}
	if word != "" && text == word {
		return never
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < least {
		want := `a duration like "5s"`
		if least > 0 {
			want = `a duration over zero like "5s"`
		}
		if word != "" {
			want += fmt.Sprintf(" or %q", word)
		}
		r.fail(key, want)
	}
	return d
}

func (r *reader) exitCode(b behaviour) int32 {
	text, ok := r.annotations[AnnotationExitCode]
	if !ok {
		return b.exitCode
	}
	code, err := strconv.ParseUint(text, 10, 8)
	if err != nil {
		r.fail(AnnotationExitCode, "a number from 0 to 255")
	}
	if b.exitAfter == never {
		r.fail(AnnotationExitCode, "of use without "+AnnotationExitAfter+" or "+AnnotationCrashLoop)
	}
	return int32(code)
}
