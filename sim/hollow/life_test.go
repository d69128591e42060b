package hollow

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// birth is the second in which the pods of these tests are bound.
var birth = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(s float64) time.Time { return birth.Add(time.Duration(s * float64(time.Second))) }

// pod makes a pod with one container and the annotations (KEY, VALUE, …).
func pod(annotations ...string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "production", Name: "web-1", UID: "uid-1", Annotations: map[string]string{}},
		Spec: corev1.PodSpec{
			NodeName: "worker-1", RestartPolicy: corev1.RestartPolicyAlways,
			Containers: []corev1.Container{{Name: "web", Image: "web:1"}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	}
	for i := 0; i < len(annotations); i += 2 {
		p.Annotations[annotations[i]] = annotations[i+1]
	}
	return p
}

// player plays the API server's side for one pod: it stores what the kubelet writes.
type player struct {
	t       *testing.T
	pod     *corev1.Pod
	memory  memory
	removed bool
}

func play(t *testing.T, p *corev1.Pod) *player { return &player{t: t, pod: p} }

// look lets the kubelet look at the pod at the second and returns its verdict. Looking twice must change nothing.
func (p *player) look(s float64) verdict {
	p.t.Helper()
	h := host{nodeIP: "172.16.0.1", podIP: "10.128.0.1"}
	before := p.pod.DeepCopy()
	m, v := life(p.pod, p.memory, h, at(s))
	if m2, v2 := life(p.pod, p.memory, h, at(s)); !reflect.DeepEqual(m, m2) || !cmp.Equal(v, v2, cmp.AllowUnexported(verdict{})) {
		p.t.Fatalf("at %gs: life is not a function of its arguments", s)
	}
	if d := cmp.Diff(before, p.pod); d != "" {
		p.t.Fatalf("at %gs: life changed the pod:\n%s", s, d)
	}
	p.memory = m
	if v.status != nil {
		p.pod.Status = *v.status
	}
	p.removed = p.removed || v.remove
	if !v.remove && p.pod.DeletionTimestamp == nil {
		if _, again := life(p.pod, p.memory, h, at(s)); again.status != nil {
			p.t.Fatalf("at %gs: the status is never settled:\n%s", s, cmp.Diff(&p.pod.Status, again.status))
		}
	}
	return v
}

// delete asks for the pod's deletion.
func (p *player) delete(s float64, grace int64) {
	end := metav1.NewTime(at(s).Add(time.Duration(grace) * time.Second))
	p.pod.DeletionTimestamp, p.pod.DeletionGracePeriodSeconds = &end, &grace
}

// shown is the pod in one line, as kubectl get would have it: phase, state, readiness, restarts, last exit code.
func (p *player) shown() string {
	s := p.pod.Status
	if len(s.ContainerStatuses) == 0 {
		return string(s.Phase)
	}
	c := s.ContainerStatuses[0]
	words := []string{string(s.Phase)}
	switch {
	case c.State.Waiting != nil:
		words = append(words, c.State.Waiting.Reason)
	case c.State.Running != nil:
		words = append(words, "up")
	case c.State.Terminated != nil:
		words = append(words, fmt.Sprintf("%s:%d", c.State.Terminated.Reason, c.State.Terminated.ExitCode))
	}
	ready := "unready"
	if r := condition(&s, corev1.PodReady); r != nil && r.Status == corev1.ConditionTrue {
		ready = "ready"
	}
	if c.Ready != (condition(&s, corev1.ContainersReady).Status == corev1.ConditionTrue) {
		p.t.Errorf("container ready %t and condition ContainersReady %v differ", c.Ready, condition(&s, corev1.ContainersReady))
	}
	words = append(words, ready)
	if c.RestartCount > 0 {
		words = append(words, fmt.Sprintf("restarts=%d", c.RestartCount))
	}
	if l := c.LastTerminationState.Terminated; l != nil {
		words = append(words, fmt.Sprintf("last=%s:%d", l.Reason, l.ExitCode))
	}
	return strings.Join(words, " ")
}

// TestLife follows pods through their lives by looking when the kubelet said it would.
func TestLife(t *testing.T) {
	type seen struct {
		at   float64
		want string
	}
	for _, test := range []struct {
		name        string
		annotations []string
		policy      corev1.RestartPolicy
		change      func(*corev1.Pod)
		want        []seen // every status that is written, until the pod rests or 12 were
	}{
		{name: "at once", want: []seen{{0, "Running up ready"}}},
		{name: "startup", annotations: []string{AnnotationStartup, "5s"},
			want: []seen{{0, "Pending ContainerCreating unready"}, {5, "Running up ready"}}},
		{name: "ready later", annotations: []string{AnnotationReady, "3s"},
			want: []seen{{0, "Running up unready"}, {3, "Running up ready"}}},
		{name: "startup and ready", annotations: []string{AnnotationStartup, "1500ms", AnnotationReady, "3s"},
			want: []seen{{0, "Pending ContainerCreating unready"}, {1.5, "Running up unready"}, {4.5, "Running up ready"}}},
		{name: "never ready", annotations: []string{AnnotationReady, "never"},
			want: []seen{{0, "Running up unready"}}},
		{name: "probe delay", change: func(p *corev1.Pod) {
			p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{InitialDelaySeconds: 7}
		}, want: []seen{{0, "Running up unready"}, {7, "Running up ready"}}},
		{name: "annotation over probe delay", annotations: []string{AnnotationReady, "0s"}, change: func(p *corev1.Pod) {
			p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{InitialDelaySeconds: 7}
		}, want: []seen{{0, "Running up ready"}}},
		{name: "job succeeds", annotations: []string{AnnotationExitAfter, "5s"}, policy: corev1.RestartPolicyNever,
			want: []seen{{0, "Running up ready"}, {5, "Succeeded Completed:0 unready"}}},
		{name: "job fails", annotations: []string{AnnotationExitAfter, "5s", AnnotationExitCode, "3"}, policy: corev1.RestartPolicyNever,
			want: []seen{{0, "Running up ready"}, {5, "Failed Error:3 unready"}}},
		{name: "job with OnFailure succeeds", annotations: []string{AnnotationExitAfter, "5s"}, policy: corev1.RestartPolicyOnFailure,
			want: []seen{{0, "Running up ready"}, {5, "Succeeded Completed:0 unready"}}},
		{name: "job exits before it is ready", annotations: []string{AnnotationExitAfter, "2s", AnnotationReady, "5s"}, policy: corev1.RestartPolicyNever,
			want: []seen{{0, "Running up unready"}, {2, "Succeeded Completed:0 unready"}}},
		{name: "job with OnFailure fails", annotations: []string{AnnotationExitAfter, "5s", AnnotationExitCode, "3"}, policy: corev1.RestartPolicyOnFailure,
			want: []seen{
				{0, "Running up ready"},
				{5, "Running up ready restarts=1 last=Error:3"}, // the first restart does not wait
				{10, "Running CrashLoopBackOff unready restarts=1 last=Error:3"},
				{20, "Running up ready restarts=2 last=Error:3"},
				{25, "Running CrashLoopBackOff unready restarts=2 last=Error:3"},
				{45, "Running up ready restarts=3 last=Error:3"},
				{50, "Running CrashLoopBackOff unready restarts=3 last=Error:3"},
				{90, "Running up ready restarts=4 last=Error:3"},
				{95, "Running CrashLoopBackOff unready restarts=4 last=Error:3"},
				{175, "Running up ready restarts=5 last=Error:3"},
				{180, "Running CrashLoopBackOff unready restarts=5 last=Error:3"},
				{340, "Running up ready restarts=6 last=Error:3"},
			}},
		{name: "crash loop", annotations: []string{AnnotationCrashLoop, "true"},
			want: []seen{
				{0, "Running up unready"},
				{1, "Running up unready restarts=1 last=Error:1"},
				{2, "Running CrashLoopBackOff unready restarts=1 last=Error:1"},
				{12, "Running up unready restarts=2 last=Error:1"},
				{13, "Running CrashLoopBackOff unready restarts=2 last=Error:1"},
				{33, "Running up unready restarts=3 last=Error:1"},
				{34, "Running CrashLoopBackOff unready restarts=3 last=Error:1"},
				{74, "Running up unready restarts=4 last=Error:1"},
				{75, "Running CrashLoopBackOff unready restarts=4 last=Error:1"},
				{155, "Running up unready restarts=5 last=Error:1"},
				{156, "Running CrashLoopBackOff unready restarts=5 last=Error:1"},
				{316, "Running up unready restarts=6 last=Error:1"},
			}},
		{name: "crash loop that is not", annotations: []string{AnnotationCrashLoop, "false"}, want: []seen{{0, "Running up ready"}}},
		{name: "crash loop with its own exit", annotations: []string{AnnotationCrashLoop, "true", AnnotationExitAfter, "4s", AnnotationExitCode, "0"},
			policy: corev1.RestartPolicyOnFailure,
			want:   []seen{{0, "Running up unready"}, {4, "Succeeded Completed:0 unready"}}},
		{name: "crash without restart", annotations: []string{AnnotationCrashLoop, "true"}, policy: corev1.RestartPolicyNever,
			want: []seen{{0, "Running up unready"}, {1, "Failed Error:1 unready"}}},
		{name: "readiness gate", change: func(p *corev1.Pod) {
			p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "lb"}}
		}, want: []seen{{0, "Running up unready"}}},
		{name: "readiness gate open", change: func(p *corev1.Pod) {
			p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "lb"}}
			p.Status.Conditions = []corev1.PodCondition{{Type: "lb", Status: corev1.ConditionTrue}}
		}, want: []seen{{0, "Running up ready"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := pod(test.annotations...)
			if test.policy != "" {
				p.Spec.RestartPolicy = test.policy
			}
			if test.change != nil {
				test.change(p)
			}
			var got []seen
			player, now := play(t, p), birth
			for range 40 {
				s := now.Sub(birth).Seconds()
				v := player.look(s)
				if v.status != nil {
					if s == 0 && player.shown() == "Running up ready" && len(got) > 0 {
						t.Error("a pod without delays takes more than one write")
					}
					got = append(got, seen{s, player.shown()})
				}
				if len(got) == 12 || v.wake.IsZero() {
					break
				}
				if !v.wake.After(now) {
					t.Fatalf("at %gs: wakes at once again", s)
				}
				now = v.wake
			}
			if d := cmp.Diff(test.want, got, cmp.AllowUnexported(seen{})); d != "" {
				t.Errorf("statuses (-want +got):\n%s", d)
			}
		})
	}
}

func TestBackOffIsCappedAndReset(t *testing.T) {
	m := memory{policy: corev1.RestartPolicyAlways, state: running, since: birth}
	var waits []string
	now := birth
	for range 8 {
		now = now.Add(time.Second)
		m = m.exit(now, 1)
		waits = append(waits, m.wait.String())
		now = now.Add(m.wait)
		m = m.start(now)
	}
	if got, want := strings.Join(waits, " "), "0s 10s 20s 40s 1m20s 2m40s 5m0s 5m0s"; got != want {
		t.Errorf("waits are %s, want %s", got, want)
	}
	if after := m.exit(now.Add(10*time.Minute), 1); after.wait != 5*time.Minute {
		t.Errorf("after a run of 10 min the restart waits %s, want 5m0s", after.wait)
	}
	if after := m.exit(now.Add(10*time.Minute+time.Second), 1); after.wait != 0 || after.backOff != firstBackOff {
		t.Errorf("after a longer run the restart waits %s and the next %s, want 0s and 10s", after.wait, after.backOff)
	}
}

func TestInvalidAnnotations(t *testing.T) {
	for _, test := range []struct {
		annotations []string
		want        string
	}{
		{[]string{AnnotationStartup, "soon"}, `annotation sim.seatrial.dev/startup: "soon" is not a duration like "5s"`},
		{[]string{AnnotationStartup, "-1s"}, `annotation sim.seatrial.dev/startup: "-1s" is not a duration like "5s"`},
		{[]string{AnnotationStartup, "never"}, `annotation sim.seatrial.dev/startup: "never" is not a duration like "5s"`},
		{[]string{AnnotationStartup, ""}, `annotation sim.seatrial.dev/startup: "" is not a duration like "5s"`},
		{[]string{AnnotationReady, "no"}, `annotation sim.seatrial.dev/ready: "no" is not a duration like "5s" or "never"`},
		{[]string{AnnotationReady, "-5s"}, `annotation sim.seatrial.dev/ready: "-5s" is not a duration like "5s" or "never"`},
		{[]string{AnnotationReady, "no", AnnotationCrashLoop, "true"}, `annotation sim.seatrial.dev/ready: "no" is not a duration like "5s" or "never"`},
		{[]string{AnnotationCrashLoop, "yes"}, `annotation sim.seatrial.dev/crash-loop: "yes" is not "true" or "false"`},
		{[]string{AnnotationExitAfter, "0s"}, `annotation sim.seatrial.dev/exit-after: "0s" is not a duration over zero like "5s"`},
		{[]string{AnnotationExitAfter, "9999999h"}, `annotation sim.seatrial.dev/exit-after: "9999999h" is not a duration over zero like "5s"`},
		{[]string{AnnotationExitAfter, "1s", AnnotationExitCode, "256"}, `annotation sim.seatrial.dev/exit-code: "256" is not a number from 0 to 255`},
		{[]string{AnnotationExitAfter, "1s", AnnotationExitCode, "-1"}, `annotation sim.seatrial.dev/exit-code: "-1" is not a number from 0 to 255`},
		{[]string{AnnotationExitCode, "1"}, `annotation sim.seatrial.dev/exit-code: "1" is not of use without sim.seatrial.dev/exit-after or sim.seatrial.dev/crash-loop`},
		{[]string{AnnotationShutdown, "1"}, `annotation sim.seatrial.dev/shutdown: "1" is not a duration like "5s"`},
	} {
		t.Run(strings.Join(test.annotations, " "), func(t *testing.T) {
			p := play(t, pod(test.annotations...))
			v := p.look(0)
			if got := p.shown(); got != "Pending CreateContainerConfigError unready" {
				t.Errorf("pod is %s", got)
			}
			if got := p.pod.Status.ContainerStatuses[0].State.Waiting.Message; got != test.want {
				t.Errorf("message is\n%s, want\n%s", got, test.want)
			}
			if !v.wake.IsZero() {
				t.Errorf("wakes at %s, though only a change can help", v.wake)
			}
			if err := p.memory.answers(at(1)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("answers: %v", err)
			}
			p.pod.Annotations = map[string]string{AnnotationStartup: "2s"} // put right
			if p.look(10); p.shown() != "Pending ContainerCreating unready" {
				t.Errorf("put right, the pod is %s", p.shown())
			}
			if p.look(12); p.shown() != "Running up ready" {
				t.Errorf("put right and started, the pod is %s", p.shown())
			}
		})
	}
}

func TestAnnotationsOfARunningPod(t *testing.T) {
	p := play(t, pod())
	p.look(0)
	p.pod.Annotations[AnnotationReady] = "never"
	if p.look(5); p.shown() != "Running up unready" {
		t.Errorf("made unready, the pod is %s", p.shown())
	}
	p.pod.Annotations[AnnotationReady] = "rubbish"
	if p.look(6); p.shown() != "Running up unready" {
		t.Errorf("with a value that can't be read, the pod is %s; want no change", p.shown())
	}
	delete(p.pod.Annotations, AnnotationReady)
	if p.look(7); p.shown() != "Running up ready" {
		t.Errorf("made ready, the pod is %s", p.shown())
	}
	if got := condition(&p.pod.Status, corev1.PodReady).LastTransitionTime.Time; !got.Equal(at(7)) {
		t.Errorf("ready since %s, want %s", got, at(7))
	}
	if got := condition(&p.pod.Status, corev1.PodInitialized).LastTransitionTime.Time; !got.Equal(at(0)) {
		t.Errorf("initialised since %s, want %s", got, at(0))
	}
}

func TestTermination(t *testing.T) {
	for _, test := range []struct {
		name        string
		annotations []string
		asked       float64 // when the deletion is asked for
		grace       int64
		gone        float64 // when the pod is removed
	}{
		{"whole grace period", nil, 5, 30, 35},
		{"shutdown", []string{AnnotationShutdown, "1s"}, 5, 30, 6},
		{"shutdown in no time", []string{AnnotationShutdown, "0s"}, 5, 30, 5},
		{"shutdown longer than grace", []string{AnnotationShutdown, "1m"}, 5, 30, 35},
		{"grace of a second", nil, 5, 1, 6},
		{"never started", []string{AnnotationStartup, "1m"}, 5, 30, 5},
		{"bad annotation", []string{AnnotationStartup, "soon"}, 5, 30, 5},
		{"not ready yet", []string{AnnotationReady, "never", AnnotationShutdown, "2s"}, 5, 30, 7},
		{"in back-off", []string{AnnotationCrashLoop, "true"}, 5, 30, 5},
		{"exits while it stops", []string{AnnotationExitAfter, "8s"}, 5, 30, 8},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := play(t, pod(test.annotations...))
			p.look(0)
			p.look(2)
			before := p.shown()
			p.delete(test.asked, test.grace)
			for s := test.asked; ; {
				v := p.look(s)
				if v.remove {
					if s != test.gone {
						t.Errorf("removed at %gs, want %gs", s, test.gone)
					}
					break
				}
				if v.status != nil || p.shown() != before {
					t.Errorf("at %gs: status is written while the pod stops: %s", s, p.shown())
				}
				if err := p.memory.answers(at(s)); err != nil {
					t.Errorf("at %gs: a process that still stops does not answer: %v", s, err)
				}
				if v.wake.IsZero() {
					t.Fatalf("at %gs: nobody removes the pod", s)
				}
				s = v.wake.Sub(birth).Seconds()
			}
			if err := p.memory.answers(at(test.gone)); err == nil {
				t.Error("answers after it has stopped")
			}
		})
	}
}

func TestSecondDeletionShortensTheGracePeriod(t *testing.T) {
	p := play(t, pod())
	p.look(0)
	p.delete(5, 30)
	p.look(5)
	p.delete(10, 2)
	if v := p.look(10); !v.wake.Equal(at(12)) {
		t.Errorf("stops at %s, want %s", v.wake, at(12))
	}
	p.delete(11, 60)
	if v := p.look(11); !v.wake.Equal(at(12)) {
		t.Errorf("a longer grace period moved the stop to %s", v.wake)
	}
	if v := p.look(12); !v.remove {
		t.Error("not removed")
	}
}

func TestTerminationWithFinalizer(t *testing.T) {
	for _, test := range []struct {
		name        string
		annotations []string
		gone        float64
		want        string
	}{
		{"killed", nil, 8, "Failed Error:137 unready"},
		{"orderly", []string{AnnotationShutdown, "1s"}, 6, "Succeeded Completed:0 unready"},
		{"never started", []string{AnnotationStartup, "1h"}, 5, "Failed ContainerStatusUnknown:137 unready"},
		{"own exit", []string{AnnotationExitAfter, "6s", AnnotationExitCode, "4"}, 6, "Failed Error:4 unready"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := play(t, pod(test.annotations...))
			p.pod.Finalizers = []string{"batch.kubernetes.io/job-tracking"}
			p.pod.Spec.RestartPolicy = corev1.RestartPolicyNever
			p.look(0)
			p.delete(5, 3)
			p.look(5)
			if p.look(test.gone); !p.removed || p.shown() != test.want {
				t.Errorf("removed %t, shown %s, want %s", p.removed, p.shown(), test.want)
			}
			p.delete(test.gone, 0) // what our removal makes of it while the finalizer is there
			if v := p.look(test.gone + 1); v.remove || v.status != nil {
				t.Errorf("the kubelet goes on after its part is done: %+v", v)
			}
		})
	}
}

func TestReboot(t *testing.T) {
	for _, test := range []struct {
		name        string
		annotations []string
		policy      corev1.RestartPolicy
		off, on     float64
		want        []string // at once after the boot, and 4 s later
	}{
		{"running", nil, "", 10, 20, []string{"Running up ready restarts=1 last=Unknown:255", "Running up ready restarts=1 last=Unknown:255"}},
		{"running, with delays", []string{AnnotationStartup, "3s", AnnotationReady, "2s"}, "", 10, 20,
			[]string{"Running ContainerCreating unready restarts=1 last=Unknown:255", "Running up unready restarts=1 last=Unknown:255"}},
		{"not started yet", []string{AnnotationStartup, "3s"}, "", 2, 20,
			[]string{"Pending ContainerCreating unready", "Running up ready"}},
		{"in back-off", []string{AnnotationCrashLoop, "true", AnnotationStartup, "3s"}, "", 7, 20,
			[]string{"Running ContainerCreating unready restarts=2 last=Error:1", "Running up unready restarts=3 last=Error:1"}},
		{"never restarted", nil, corev1.RestartPolicyNever, 10, 20, []string{"Failed Unknown:255 unready", "Failed Unknown:255 unready"}},
		{"over before", []string{AnnotationExitAfter, "5s"}, corev1.RestartPolicyNever, 10, 20,
			[]string{"Succeeded Completed:0 unready", "Succeeded Completed:0 unready"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := play(t, pod(test.annotations...))
			if test.policy != "" {
				p.pod.Spec.RestartPolicy = test.policy
			}
			p.look(0)
			p.memory = p.memory.reboot(at(test.off), at(test.on))
			for i, s := range []float64{test.on, test.on + 4} {
				if p.look(s); p.shown() != test.want[i] {
					t.Errorf("%gs after the boot: %s, want %s", s-test.on, p.shown(), test.want[i])
				}
			}
		})
	}
}

func TestRebootWhileStopping(t *testing.T) {
	p := play(t, pod())
	p.look(0)
	p.delete(5, 300)
	p.look(5)
	p.memory = p.memory.reboot(at(6), at(20))
	if v := p.look(20); !v.remove {
		t.Error("a pod that was being deleted survives the boot")
	}
}

func TestAnotherPodOfTheName(t *testing.T) {
	p := play(t, pod(AnnotationReady, "5s"))
	p.look(0)
	p.look(5)
	p.pod = pod(AnnotationReady, "5s")
	p.pod.UID = "uid-2"
	if p.look(9); p.shown() != "Running up unready" {
		t.Errorf("the new pod is %s", p.shown())
	}
}

func TestRecall(t *testing.T) {
	first := play(t, pod(AnnotationStartup, "1s", AnnotationExitAfter, "10s"))
	for _, s := range []float64{0, 1, 11} {
		first.look(s)
	}
	second := play(t, first.pod) // a kubelet that was started anew
	if v := second.look(15); v.status != nil {
		t.Errorf("a kubelet that was started anew writes another status:\n%s", cmp.Diff(&first.pod.Status, v.status))
	}
	bad := pod(AnnotationReady, "rubbish")
	bad.Status = *first.pod.Status.DeepCopy()
	if p := play(t, bad); p.look(15).status != nil && !strings.HasPrefix(p.shown(), "Running up") {
		t.Errorf("a running pod was stopped for its annotation: %s", p.shown())
	}
}

func TestPodEndedByOthers(t *testing.T) {
	p := play(t, pod())
	p.look(0)
	p.pod.Status.Phase = corev1.PodFailed // as the pod garbage collector does
	if v := p.look(1); v.status != nil || !v.wake.IsZero() {
		t.Errorf("the kubelet revives it: %+v", v)
	}
	if err := p.memory.answers(at(1)); err == nil {
		t.Error("it answers")
	}
	p.delete(2, 30)
	if v := p.look(2); !v.remove {
		t.Error("it is not removed at once")
	}
}

func TestMirrorPod(t *testing.T) {
	p := play(t, pod(corev1.MirrorPodAnnotationKey, "h"))
	p.look(0)
	p.delete(5, 30)
	if v := p.look(5); !v.remove {
		t.Error("a mirror pod that is deleted stays")
	}
	if err := p.memory.answers(at(5)); err != nil {
		t.Errorf("its process does not outlive it: %v", err)
	}
	p.pod = pod(corev1.MirrorPodAnnotationKey, "h")
	p.pod.UID = "uid-2"
	p.look(6)
	if got := p.pod.Status.ContainerStatuses[0].State.Running.StartedAt.Time; p.shown() != "Running up ready" || !got.Equal(birth) {
		t.Errorf("the new mirror is %s since %s, want it to show the old process", p.shown(), got)
	}
}

func TestInitContainers(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	p := play(t, pod(AnnotationStartup, "2s"))
	p.pod.Spec.InitContainers = []corev1.Container{{Name: "init"}, {Name: "sidecar", RestartPolicy: &always}}
	p.look(0)
	if c := condition(&p.pod.Status, corev1.PodInitialized); c.Status != corev1.ConditionFalse || c.Message != "containers with incomplete status: [init sidecar]" {
		t.Errorf("initialised at once: %+v", c)
	}
	p.look(2)
	init, sidecar := p.pod.Status.InitContainerStatuses[0], p.pod.Status.InitContainerStatuses[1]
	if init.State.Terminated == nil || init.State.Terminated.ExitCode != 0 || !init.Ready || sidecar.State.Running == nil || !sidecar.Ready {
		t.Errorf("init containers are %+v", p.pod.Status.InitContainerStatuses)
	}
	if c := condition(&p.pod.Status, corev1.PodInitialized); c.Status != corev1.ConditionTrue {
		t.Errorf("not initialised: %+v", c)
	}
	p.memory = p.memory.reboot(at(5), at(6))
	p.look(8)
	if got := p.pod.Status.InitContainerStatuses[1].RestartCount; got != 1 || p.shown() != "Running up ready restarts=1 last=Unknown:255" {
		t.Errorf("after a boot the sidecar has %d restarts and the pod is %s", got, p.shown())
	}
}

// TestStatusIsComplete holds what else readers of a pod's status rely on.
func TestStatusIsComplete(t *testing.T) {
	p := play(t, pod())
	scheduled := metav1.NewTime(at(-3))
	p.pod.Status.QOSClass = corev1.PodQOSBestEffort
	p.pod.Status.Conditions = []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: scheduled},
		{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI"},
	}
	p.look(0.25)
	s := p.pod.Status
	if s.PodIP != "10.128.0.1" || len(s.PodIPs) != 1 || s.HostIP != "172.16.0.1" || len(s.HostIPs) != 1 || s.QOSClass != corev1.PodQOSBestEffort {
		t.Errorf("addresses or class: %+v", s)
	}
	if !s.StartTime.Time.Equal(birth) {
		t.Errorf("start time %s has fractions of a second, which the API drops", s.StartTime)
	}
	var kinds []string
	for _, c := range s.Conditions {
		kinds = append(kinds, fmt.Sprintf("%s=%s", c.Type, c.Status))
	}
	want := "PodScheduled=True DisruptionTarget=True PodReadyToStartContainers=True Initialized=True Ready=True ContainersReady=True"
	if got := strings.Join(kinds, " "); got != want {
		t.Errorf("conditions are %s, want %s", got, want)
	}
	if !s.Conditions[0].LastTransitionTime.Equal(&scheduled) {
		t.Error("the scheduler's time was overwritten")
	}
	c := s.ContainerStatuses[0]
	if c.Name != "web" || c.Image != "web:1" || c.Started == nil || !*c.Started || c.ContainerID == "" {
		t.Errorf("container is %+v", c)
	}
}
