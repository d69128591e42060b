package hollow

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// The kubelet's back-off between restarts of a container: none before the first, then 10 s doubling to 5 min, from the start again after the
// container has run for more than 10 min. See https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy
// and doBackOff in pkg/kubelet/kuberuntime.
const (
	firstBackOff   = 10 * time.Second
	longestBackOff = 5 * time.Minute
	stableAfter    = 2 * longestBackOff
)

// Exit codes that no process chose.
const (
	exitKilled  = 137 // 128 + SIGKILL
	exitUnknown = 255 // what a container runtime says of a container that a reboot ended
)

// state is where the containers of a pod are. They go through life together.
type state int

const (
	creating   state = iota // images are pulled, containers made
	running                 // the process runs
	backingOff              // the process exited, and its restart has to wait
	exited                  // the process exited and is not started again
)

// memory is what a kubelet knows of a pod and the API does not: when things happened to its process. It is a value; nothing of it is
// shared and changed.
type memory struct {
	uid       types.UID
	behaviour behaviour
	policy    corev1.RestartPolicy
	badConfig string // why the containers can't be created; "" when they can

	taken       time.Time // when the kubelet took the pod
	state       state
	since       time.Time // when it came into the state
	initialised time.Time // when the init containers were done
	restarts    int32     // of the containers
	reboots     int32     // of the node, that the pod survived: restarts of sidecars
	last        *corev1.ContainerStateTerminated
	backOff     time.Duration // what the next restart but the one that is waited for has to wait
	wait        time.Duration // what the restart waits that is waited for
	stop        time.Time     // when the process ends because the pod is being deleted; zero: it is not
}

// host is what the node gives a pod.
type host struct {
	nodeIP, podIP string
}

// verdict is what a kubelet has to do for a pod now.
type verdict struct {
	status *corev1.PodStatus // what to write; nil: the API server has it right
	remove bool              // delete the pod from the API, after the status was written
	wake   time.Time         // when to look again; zero: when the pod changes
}

// life is the whole life of a pod: from the pod as the API has it, what the kubelet remembers of it and the time, to what the kubelet remembers
// next and what is to be done. It is pure: the same arguments give the same results.
func life(pod *corev1.Pod, m memory, h host, now time.Time) (memory, verdict) {
	m = m.meet(pod, now).configure(pod, now)
	if pod.DeletionTimestamp == nil || m.state != creating { // a pod that is being deleted is not started any more
		m = m.advance(now)
	}
	switch {
	case isMirror(pod) && pod.DeletionTimestamp != nil:
		// The process belongs to the file, not to its mirror: only the mirror goes.
		return m, verdict{remove: true}
	case pod.DeletionTimestamp != nil:
		return m.terminate(pod, h, now)
	case ended(pod):
		m.state = exited // whoever else ended the pod (the pod garbage collector does) is obeyed
		return m, verdict{}
	}
	v := verdict{wake: m.wake(now)}
	if status := m.status(pod, h, now); !equality.Semantic.DeepEqual(status, &pod.Status) {
		v.status = status
	}
	return m, v
}

// meet makes the memory one of this pod. A mirror pod that was made again shows the same process.
func (m memory) meet(pod *corev1.Pod, now time.Time) memory {
	if m.uid == "" || m.uid != pod.UID && !isMirror(pod) {
		m = recall(pod, now)
	}
	m.uid = pod.UID
	m.policy = pod.Spec.RestartPolicy
	return m
}

// recall is what a kubelet that was just started finds out about a pod: its containers, if they run, go on.
func recall(pod *corev1.Pod, now time.Time) memory {
	m := memory{taken: now, state: creating, since: now, behaviour: behaviour{exitAfter: never, shutdown: never}}
	if pod.Status.StartTime != nil {
		m.taken = pod.Status.StartTime.Time
	}
	if len(pod.Status.ContainerStatuses) == 0 {
		return m
	}
	c := pod.Status.ContainerStatuses[0]
	m.restarts, m.last = c.RestartCount, c.LastTerminationState.Terminated
	if c.State.Running != nil {
		m.state, m.since, m.initialised = running, c.State.Running.StartedAt.Time, c.State.Running.StartedAt.Time
	}
	return m
}

// configure takes over the annotations. What is wrong with them matters only while the containers are still to be made.
func (m memory) configure(pod *corev1.Pod, now time.Time) memory {
	b, err := behaviourOf(pod)
	switch {
	case err == nil:
		if m.badConfig != "" {
			m.since = now
		}
		m.behaviour, m.badConfig = b, ""
	case m.state == creating:
		m.badConfig = err.Error()
	}
	return m
}

// advance lets happen what the process does by itself until now.
func (m memory) advance(now time.Time) memory {
	if !m.stop.IsZero() && m.stop.Before(now) {
		now = m.stop
	}
	for {
		at := m.next()
		if at.IsZero() || at.After(now) {
			return m
		}
		switch m.state {
		case creating:
			m.initialised = at
			m = m.start(at)
		case running:
			m = m.exit(at, m.behaviour.exitCode)
		case backingOff:
			m.restarts++
			m = m.start(at)
		}
	}
}

// next is when the process changes its state by itself; zero: never.
func (m memory) next() time.Time {
	switch {
	case m.state == creating && m.badConfig == "":
		return m.since.Add(m.behaviour.startup)
	case m.state == running && m.behaviour.exitAfter != never:
		return m.since.Add(m.behaviour.exitAfter)
	case m.state == backingOff:
		return m.since.Add(m.wait)
	}
	return time.Time{}
}

func (m memory) start(at time.Time) memory {
	m.state, m.since = running, at
	return m
}

// exit ends the running process and decides whether and when it starts again.
func (m memory) exit(at time.Time, code int32) memory {
	m.last = terminated(code, "", m.since, at)
	if at.Sub(m.since) > stableAfter {
		m.backOff = 0
	}
	if !m.stop.IsZero() || !m.restartable(code) {
		m.state, m.since = exited, at
		return m
	}
	m.state, m.since, m.wait = backingOff, at, m.backOff
	m.backOff = min(max(2*m.backOff, firstBackOff), longestBackOff)
	return m
}

func (m memory) restartable(code int32) bool {
	return m.policy == corev1.RestartPolicyAlways || m.policy == corev1.RestartPolicyOnFailure && code != 0
}

// reboot is what a power cut at off and the boot at now make of the process. The kubelet's back-off is forgotten with it.
func (m memory) reboot(off, now time.Time) memory {
	m = m.advance(off)
	switch m.state {
	case exited:
		return m
	case running:
		m.last = terminated(exitUnknown, "Unknown", m.since, now)
		if !m.restartable(exitUnknown) {
			m.state, m.since = exited, now
			return m
		}
		m.restarts++
		m.reboots++
	case backingOff:
		m.restarts++
		m.reboots++
	}
	m.state, m.since, m.backOff = creating, now, 0
	return m
}

// terminate is life under a deletion: the pod stays as it is until its process has stopped, then it is removed.
func (m memory) terminate(pod *corev1.Pod, h host, now time.Time) (memory, verdict) {
	grace := never
	if s := pod.DeletionGracePeriodSeconds; s != nil {
		grace = time.Duration(*s) * time.Second
	}
	if m.state == running && !ended(pod) {
		stop := now.Add(m.stopTime(grace))
		if m.stop.IsZero() || stop.Before(m.stop) { // a second deletion may shorten the grace period
			m.stop = stop
		}
		if now.Before(m.stop) {
			return m, verdict{wake: earliest(m.stop, m.next())}
		}
	}
	if ended(pod) {
		// With a grace period of 0 it is no longer the kubelet that the pod waits for.
		return m, verdict{remove: grace != 0}
	}
	m = m.stopped(now, m.orderly(grace))
	v := verdict{remove: true}
	if len(pod.Finalizers) > 0 { // who holds the pod wants to know how it ended: the job controller counts it
		v.status = m.status(pod, h, now)
	}
	return m, v
}

// orderly says whether the process stops by itself within the grace period.
func (m memory) orderly(grace time.Duration) bool {
	return m.behaviour.shutdown != never && m.behaviour.shutdown <= grace
}

// stopTime is how long the process goes on after SIGTERM.
func (m memory) stopTime(grace time.Duration) time.Duration {
	if m.orderly(grace) {
		return m.behaviour.shutdown
	}
	return max(grace, 0)
}

// stopped ends the process for good.
func (m memory) stopped(at time.Time, orderly bool) memory {
	switch {
	case m.state == running && orderly:
		m.last = terminated(0, "", m.since, at)
	case m.state == running:
		m.last = terminated(exitKilled, "", m.since, at)
	case m.last == nil:
		m.last = terminated(exitKilled, "ContainerStatusUnknown", at, at)
	}
	m.state, m.since = exited, at
	return m
}

// ready says whether the running containers are Ready.
func (m memory) ready(now time.Time) bool {
	return m.state == running && m.behaviour.ready != never && !now.Before(m.since.Add(m.behaviour.ready))
}

// wake is when the status changes next without anyone doing anything; zero: never.
func (m memory) wake(now time.Time) time.Time {
	if m.state == running && m.behaviour.ready != never && !m.ready(now) {
		return earliest(m.since.Add(m.behaviour.ready), m.next())
	}
	return m.next()
}

// answers is nil when the process would answer a client at the time, and else says why it would not.
func (m memory) answers(now time.Time) error {
	m = m.advance(now)
	switch {
	case m.badConfig != "" && m.state == creating:
		return fmt.Errorf("container can't be created: %s", m.badConfig)
	case m.state == creating:
		return fmt.Errorf("container has not started yet")
	case m.state == backingOff:
		return fmt.Errorf("container waits to be restarted after exit code %d", m.last.ExitCode)
	case m.state == exited:
		return fmt.Errorf("container has ended")
	case !m.stop.IsZero() && !now.Before(m.stop):
		return fmt.Errorf("container was stopped: the pod is being deleted")
	}
	return nil
}

// terminated describes an exit. The reason follows from the code unless there is a better one.
func terminated(code int32, reason string, from, to time.Time) *corev1.ContainerStateTerminated {
	if reason == "" {
		reason = "Error"
		if code == 0 {
			reason = "Completed"
		}
	}
	return &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, StartedAt: seconds(from), FinishedAt: seconds(to)}
}

// ended says whether the API has the pod as over.
func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// isMirror says whether the pod shows a static pod.
func isMirror(pod *corev1.Pod) bool {
	_, ok := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return ok
}

// seconds is the time as the API keeps it. A status with fractions would never be equal to what the server gives back.
func seconds(t time.Time) metav1.Time { return metav1.NewTime(t.Truncate(time.Second)) }

// earliest is the earlier of two times, of which a zero one does not count.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
