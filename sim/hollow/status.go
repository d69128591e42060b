package hollow

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// status is the status of a pod as a kubelet reports it. What others wrote into it (the scheduler, the eviction API, readiness gates) is kept.
func (m memory) status(pod *corev1.Pod, h host, now time.Time) *corev1.PodStatus {
	s := pod.Status.DeepCopy()
	taken := seconds(m.taken)
	s.StartTime = &taken
	s.Phase = m.phase()
	s.HostIP, s.HostIPs = h.nodeIP, []corev1.HostIP{{IP: h.nodeIP}}
	made := m.state != creating
	if made { // the sandbox, and with it the address, comes with the first start
		s.PodIP, s.PodIPs = h.podIP, []corev1.PodIP{{IP: h.podIP}}
	}
	s.ContainerStatuses = make([]corev1.ContainerStatus, 0, len(pod.Spec.Containers))
	for _, c := range pod.Spec.Containers {
		s.ContainerStatuses = append(s.ContainerStatuses, m.container(pod, c, now))
	}
	s.InitContainerStatuses = nil
	for _, c := range pod.Spec.InitContainers {
		s.InitContainerStatuses = append(s.InitContainerStatuses, m.initContainer(pod, c))
	}
	m.conditions(pod, s, now)
	return s
}

// phase follows getPhase of the kubelet: a container that waits for its restart does not make a pod Pending again.
func (m memory) phase() corev1.PodPhase {
	switch {
	case m.state == exited && m.last != nil && m.last.ExitCode == 0:
		return corev1.PodSucceeded
	case m.state == exited:
		return corev1.PodFailed
	case m.state == creating && m.last == nil:
		return corev1.PodPending
	}
	return corev1.PodRunning
}

func (m memory) container(pod *corev1.Pod, c corev1.Container, now time.Time) corev1.ContainerStatus {
	on := m.state == running
	s := corev1.ContainerStatus{
		Name: c.Name, Image: c.Image,
		RestartCount: m.restarts,
		Ready:        m.ready(now),
		Started:      &on,
	}
	if m.last != nil {
		last := *m.last
		s.LastTerminationState.Terminated = &last
	}
	switch m.state {
	case creating:
		s.State.Waiting = m.waiting(pod)
		return s
	case running:
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: seconds(m.since)}
	case backingOff:
		s.State.Waiting = &corev1.ContainerStateWaiting{
			Reason: "CrashLoopBackOff",
			Message: fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)",
				m.wait, c.Name, pod.Name, pod.Namespace, pod.UID),
		}
	case exited:
		s.State.Terminated, s.LastTerminationState.Terminated = s.LastTerminationState.Terminated, nil
	}
	s.ImageID = c.Image
	s.ContainerID = fmt.Sprintf("hollow://%s/%s/%d", pod.UID, c.Name, m.restarts)
	return s
}

// initContainer is done as soon as the containers start, or runs beside them when it is a sidecar.
func (m memory) initContainer(pod *corev1.Pod, c corev1.Container) corev1.ContainerStatus {
	sidecar := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
	on := sidecar && (m.state == running || m.state == backingOff)
	s := corev1.ContainerStatus{Name: c.Name, Image: c.Image, RestartCount: m.reboots, Started: &on}
	if m.initialised.IsZero() || m.state == creating {
		s.State.Waiting = m.waiting(pod)
		return s
	}
	s.ImageID = c.Image
	s.ContainerID = fmt.Sprintf("hollow://%s/%s/%d", pod.UID, c.Name, m.reboots)
	s.Ready = on || !sidecar
	switch {
	case on:
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: seconds(m.initialised)}
	case sidecar:
		s.State.Terminated = terminated(0, "", m.initialised, m.since)
	default:
		s.State.Terminated = terminated(0, "", m.initialised, m.initialised)
	}
	return s
}

// waiting says what a container that has not started waits for.
func (m memory) waiting(pod *corev1.Pod) *corev1.ContainerStateWaiting {
	switch {
	case m.badConfig != "":
		return &corev1.ContainerStateWaiting{Reason: "CreateContainerConfigError", Message: m.badConfig}
	case len(pod.Spec.InitContainers) > 0:
		return &corev1.ContainerStateWaiting{Reason: "PodInitializing"}
	}
	return &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
}

// conditions sets the conditions that belong to the kubelet.
func (m memory) conditions(pod *corev1.Pod, s *corev1.PodStatus, now time.Time) {
	done := corev1.PodCondition{Status: corev1.ConditionTrue}
	over := s.Phase == corev1.PodSucceeded || s.Phase == corev1.PodFailed
	sandbox, initialised, containers := done, done, done
	if m.state == creating || over {
		sandbox.Status = corev1.ConditionFalse
	}
	if len(pod.Spec.InitContainers) > 0 && m.state == creating {
		initialised = unready("ContainersNotInitialized", "containers with incomplete status: ", pod.Spec.InitContainers)
	}
	switch {
	case s.Phase == corev1.PodSucceeded:
		containers = corev1.PodCondition{Status: corev1.ConditionFalse, Reason: "PodCompleted"}
		initialised.Reason = "PodCompleted"
	case s.Phase == corev1.PodFailed:
		containers = corev1.PodCondition{Status: corev1.ConditionFalse, Reason: "PodFailed"}
	case !m.ready(now):
		containers = unready("ContainersNotReady", "containers with unready status: ", pod.Spec.Containers)
	}
	ready := containers
	if ready.Status == corev1.ConditionTrue {
		ready = gates(pod, s)
	}
	set(s, corev1.PodReadyToStartContainers, sandbox, now)
	set(s, corev1.PodInitialized, initialised, now)
	set(s, corev1.PodReady, ready, now)
	set(s, corev1.ContainersReady, containers, now)
	set(s, corev1.PodScheduled, done, now)
}

// unready is a condition that is not met because of the containers.
func unready(reason, message string, containers []corev1.Container) corev1.PodCondition {
	names := make([]string, 0, len(containers))
	for _, c := range containers {
		names = append(names, c.Name)
	}
	return corev1.PodCondition{
		Status: corev1.ConditionFalse, Reason: reason,
		Message: message + "[" + strings.Join(names, " ") + "]",
	}
}

// gates is the Ready condition of a pod whose containers are ready.
// See https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-readiness-gate
func gates(pod *corev1.Pod, s *corev1.PodStatus) corev1.PodCondition {
	var missing []string
	for _, gate := range pod.Spec.ReadinessGates {
		switch c := condition(s, gate.ConditionType); {
		case c == nil:
			missing = append(missing, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", gate.ConditionType))
		case c.Status != corev1.ConditionTrue:
			missing = append(missing, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %s", gate.ConditionType, c.Status))
		}
	}
	if len(missing) > 0 {
		return corev1.PodCondition{Status: corev1.ConditionFalse, Reason: "ReadinessGatesNotReady", Message: strings.Join(missing, ", ")}
	}
	return corev1.PodCondition{Status: corev1.ConditionTrue}
}

// set puts a condition in its place and keeps the time of its last transition when there was none.
func set(s *corev1.PodStatus, kind corev1.PodConditionType, c corev1.PodCondition, now time.Time) {
	c.Type, c.LastTransitionTime = kind, seconds(now)
	old := condition(s, kind)
	if old == nil {
		s.Conditions = append(s.Conditions, c)
		return
	}
	c.ObservedGeneration = old.ObservedGeneration
	if old.Status == c.Status {
		c.LastTransitionTime = old.LastTransitionTime
	}
	*old = c
}

func condition(s *corev1.PodStatus, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == kind {
			return &s.Conditions[i]
		}
	}
	return nil
}
