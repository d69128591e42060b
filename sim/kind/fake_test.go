package kind

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/sim/engine"
	"github.com/seatrial/seatrial/sim/proc"
	"github.com/seatrial/seatrial/sim/ready"
)

func TestMain(m *testing.M) {
	proc.Dispatch(map[string]func([]string) int{proc.ReaperEntry: proc.ReaperMain, Entry: Main, RemoveEntry: RemoveMain})
	os.Exit(m.Run())
}

// kindModule is the folder of the kind that is linked, in the module cache.
func kindModule(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kind").Output()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return strings.TrimSpace(string(out))
}

func newSupervisor(t *testing.T) *proc.Supervisor {
	t.Helper()
	s, err := proc.NewSupervisor(t.Context())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { NewWithT(t).Expect(s.Close(context.Background())).To(Succeed()) })
	return s
}

// fakeEngine is a podman that answers as a script does, and writes down what it was told.
type fakeEngine struct {
	t        *testing.T
	log      string
	provider *Provider
	claims   string
}

// newFakeEngine makes one. script has the cases of a shell's case on the first two arguments ("ps --all"); what it does not name succeeds silently.
func newFakeEngine(t *testing.T, script string) *fakeEngine {
	t.Helper()
	g := NewWithT(t)
	dir := t.TempDir()
	f := &fakeEngine{t: t, log: filepath.Join(dir, "log"), claims: filepath.Join(dir, "claims")}
	text := fmt.Sprintf("#!/bin/sh\necho \"$*\" >>%s\ncase \"$1 $2\" in\n%s\nesac\n", f.log, script)
	path := filepath.Join(dir, "podman")
	g.Expect(os.WriteFile(path, []byte(text), 0o755)).To(Succeed())
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	supervisor := newSupervisor(t)
	f.provider = New(Options{
		Supervisor: supervisor, Dir: f.claims,
		Engine: func(ctx context.Context) (*engine.Client, error) {
			return engine.Reopen(supervisor, engine.Engine{Name: engine.Podman, Path: path, Version: "4.3.1"}, []string{"PATH=" + os.Getenv("PATH")}), nil
		},
		Images: func(context.Context, string, []string, bool, io.Writer) (Image, error) {
			return Image{Ref: "seatrial.dev/node:v1.34.4", Version: "v1.34.4"}, nil
		},
	})
	return f
}

// fakeNode is a cluster of one control plane, prepared for the version, whose node's commands are answered by the cases of a shell's case.
func fakeNode(t *testing.T, version, commands string) (*fakeEngine, *Cluster) {
	t.Helper()
	f := newFakeEngine(t, `"exec cp") shift 2; case "$*" in `+commands+` esac;;`)
	made, err := f.provider.options.Engine(t.Context())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return f, &Cluster{
		engine: made, options: Options{StageDir: "/stage"}, image: Image{Targets: []Target{{Version: version}}},
		machines: []machine{{node: "cp-1", container: "cp", role: cluster.ControlPlane}},
	}
}

func (f *fakeEngine) create(ctx context.Context) error {
	s := spec(1, 1)
	s.Dir, s.StateDir = f.t.TempDir(), f.t.TempDir()
	c, err := f.provider.Create(ctx, s)
	if err == nil {
		f.t.Error("a cluster was made without an engine")
		_ = c.Close(ctx)
	}
	return err
}

// told are the commands that it was given.
func (f *fakeEngine) told() string {
	data, err := os.ReadFile(f.log)
	if err != nil {
		return ""
	}
	return string(data)
}

// expectNothingLeft looks that the claim was given up.
func (f *fakeEngine) expectNothingLeft() {
	f.t.Helper()
	left, err := filepath.Glob(filepath.Join(f.claims, "*"))
	NewWithT(f.t).Expect(err).NotTo(HaveOccurred())
	NewWithT(f.t).Expect(left).To(BeEmpty())
}

func TestANameThatIsTakenIsRefused(t *testing.T) {
	for what, script := range map[string]string{
		"drain-web-1-worker":  `"ps --all") echo drain-web-1-worker;;`,
		"network drain-web-1": `"network ls") echo drain-web-1;;`,
	} {
		t.Run(what, func(t *testing.T) {
			f := newFakeEngine(t, script)
			err := f.create(t.Context())
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(`create cluster "drain-web-1": the name "drain-web-1" is taken: podman has ` + what)))
			for _, change := range []string{"rm ", "network create", "network rm", "run "} {
				NewWithT(t).Expect(f.told()).NotTo(ContainSubstring("\n"+change), "it belongs to somebody else")
			}
			f.expectNothingLeft()
		})
	}
}

// kindAsks are the cases that kind asks before it makes a container.
const kindAsks = `
"info --format") echo '{"host":{"cgroupVersion":"v1","security":{"rootless":false}}}';;
"--version "*) echo "podman version 4.3.1";;
"volume create") echo vol;;
"image inspect") echo x;;`

// TestAPortInUse: the engine says it, and we do, with the command that it was.
func TestAPortInUse(t *testing.T) {
	f := newFakeEngine(t, `"run --name") echo "cannot listen on the TCP port: listen tcp4 127.0.0.1:40955: bind: address already in use" >&2; exit 126;;
"network ls") case "$*" in *label=*) test -e $0.gone || echo drain-web-1;; esac;;
"network rm") touch $0.gone;;`+kindAsks)
	err := f.create(t.Context())
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("address already in use")))
	NewWithT(t).Expect(f.told()).To(ContainSubstring("network rm"), "the network was ours")
	f.expectNothingLeft()
}

// TestVolumesOfOthersGoWhileTheyAreListed: podman gives up such a list ("no such volume"), and the removal of a cluster beside another's must not fail of it.
func TestVolumesOfOthersGoWhileTheyAreListed(t *testing.T) {
	gone := `"volume ls") %s echo "Error: no volume with name 4f95 found in database: no such volume" >&2; exit 125;;`
	inUse := `"run --name") echo "bind: address already in use" >&2; exit 126;;` + kindAsks + "\n"
	t.Run("once", func(t *testing.T) {
		f := newFakeEngine(t, inUse+fmt.Sprintf(gone, "test -e $0.listed && exit 0; touch $0.listed;"))
		NewWithT(t).Expect(f.create(t.Context())).To(MatchError(Not(ContainSubstring("no such volume"))))
		f.expectNothingLeft()
	})
	t.Run("always", func(t *testing.T) {
		f := newFakeEngine(t, inUse+fmt.Sprintf(gone, "test -e $0.mended && exit 0;"))
		NewWithT(t).Expect(f.create(t.Context())).To(MatchError(ContainSubstring("no such volume")))
		NewWithT(t).Expect(strings.Count(f.told(), "volume ls")).To(BeNumerically(">=", listings))
		NewWithT(t).Expect(os.WriteFile(filepath.Join(filepath.Dir(f.log), "podman.mended"), nil, 0o600)).To(Succeed()) // for the reaper
	})
}

// TestCreateEndsWithItsContext: an engine that hangs does not hang us, and what was made is removed.
func TestCreateEndsWithItsContext(t *testing.T) {
	f := newFakeEngine(t, `"network create") exec sleep 600;;
"network ls") case "$*" in *label=*) test -e $0.gone || echo drain-web-1;; esac;;
"network rm") touch $0.gone;;`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- f.create(ctx) }()
	NewWithT(t).Eventually(f.told, 10*time.Second).Should(ContainSubstring("network create"))
	cancel()
	var err error
	NewWithT(t).Eventually(ended, 10*time.Second).Should(Receive(&err))
	NewWithT(t).Expect(err).To(MatchError(context.Canceled))
	NewWithT(t).Expect(f.told()).To(ContainSubstring("network rm drain-web-1"))
	f.expectNothingLeft()
}

// TestAContainerThatIsBeingMadeIsFinished: an engine that is killed in the middle of it leaves half a network behind.
func TestAContainerThatIsBeingMadeIsFinished(t *testing.T) {
	g := NewWithT(t)
	f := newFakeEngine(t, `"run --name") sleep 1; touch $0.finished;;`+kindAsks)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- f.create(ctx) }()
	g.Eventually(f.told, 10*time.Second).Should(ContainSubstring("\nrun --name"))
	cancel()
	var err error
	g.Eventually(ended, 5*time.Second).Should(Receive(&err))
	g.Expect(err).To(MatchError(context.Canceled))
	g.Expect(filepath.Join(filepath.Dir(f.log), "podman.finished")).To(BeAnExistingFile())
	_, after, _ := strings.Cut(f.told(), "\nrun --name")
	g.Expect(after).NotTo(ContainSubstring("\nexec --privileged"), "kind, whose commands begin so, began nothing more")
	f.expectNothingLeft()
}

// TestOnlyTheEnginesChangesAreLetFinish knows them also behind a script's shell.
func TestOnlyTheEnginesChangesAreLetFinish(t *testing.T) {
	for argv, want := range map[string]bool{
		"podman run --name a": true, "/usr/bin/docker start a": true, "/bin/sh /usr/bin/docker rm a": true,
		"podman exec a kubeadm init": false, "podman ps": false, "podman": false, "seatrial _kind": false, "": false,
	} {
		NewWithT(t).Expect(unbroken(strings.Split(argv, " "))).To(Equal(want), argv)
	}
}

// TestAClusterThatCantBeRemovedKeepsItsClaim, so that the reaper, which tries again when we close, finds it, and gc after that.
func TestAClusterThatCantBeRemovedKeepsItsClaim(t *testing.T) {
	g := NewWithT(t)
	f := newFakeEngine(t, `"network create") touch $0.made; exit 1;;
"ps --all") test -e $0.made && echo drain-web-1-worker; exit 0;;`)
	err := f.create(t.Context())
	g.Expect(err).To(MatchError(ContainSubstring(`remove cluster "drain-web-1": still there are containers ["drain-web-1-worker"], volumes [], networks []`)))
	l, err := readClaim(filepath.Join(f.claims, "drain-web-1.json"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(l.Containers).To(ConsistOf("drain-web-1-control-plane", "drain-web-1-worker", "drain-web-1-external-load-balancer"))

	g.Expect(os.Remove(filepath.Join(filepath.Dir(f.log), "podman.made"))).To(Succeed()) // now it can be removed
	g.Expect(f.provider.options.Supervisor.Close(t.Context())).To(Succeed())
	f.expectNothingLeft()
}

// TestCollectGarbage removes what is nobody's, and what was kept only when it is named.
func TestCollectGarbage(t *testing.T) {
	g := NewWithT(t)
	f := newFakeEngine(t, "")
	client, err := f.provider.open(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	self, err := proc.Self()
	g.Expect(err).NotTo(HaveOccurred())
	gone := proc.Identity{PID: self.PID, Started: self.Started - 1} // our number, and another process
	for name, l := range map[string]claim{"alive": {Owner: self}, "orphan": {Owner: gone}, "kept": {Owner: gone, Kept: true}, "kept-too": {Owner: gone, Kept: true}} {
		l.Name, l.Engine, l.Environment, l.path = name, client.Engine, client.Environment(), filepath.Join(f.claims, name+".json")
		g.Expect(l.write(os.Link)).To(Succeed())
	}
	removed, err := CollectGarbage(t.Context(), f.provider.options.Supervisor, f.claims, []string{"kept"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(removed).To(ConsistOf("orphan", "kept"))
	left, _ := filepath.Glob(filepath.Join(f.claims, "*"))
	g.Expect(left).To(ConsistOf(HaveSuffix("alive.json"), HaveSuffix("kept-too.json")))

	_, err = CollectGarbage(t.Context(), f.provider.options.Supervisor, f.claims, []string{"never-there"})
	g.Expect(err).To(MatchError(`no cluster "never-there" was kept`))
}

// TestTheReaperRemovesWhatIsItsOwners: RemoveMain is what it runs. Of a claim that is somebody else's, or kept, it touches nothing.
func TestTheReaperRemovesWhatIsItsOwners(t *testing.T) {
	self, err := proc.Self()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	for name, c := range map[string]struct {
		owner proc.Identity
		kept  bool
		gone  bool
	}{
		"its owner's": {self, false, true}, "somebody else's": {proc.Identity{PID: 1, Started: 1}, false, false}, "kept": {self, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			f := newFakeEngine(t, "")
			client, err := f.provider.open(t.Context())
			g.Expect(err).NotTo(HaveOccurred())
			l := claim{path: filepath.Join(f.claims, "a.json"), Name: "a", Engine: client.Engine, Environment: client.Environment(), Owner: c.owner, Kept: c.kept}
			g.Expect(l.write(os.Link)).To(Succeed())
			g.Expect(RemoveMain([]string{l.path, self.String()})).To(BeZero())
			if c.gone {
				g.Expect(l.path).NotTo(BeAnExistingFile())
			} else {
				g.Expect(l.path).To(BeAnExistingFile())
				g.Expect(f.told()).To(BeEmpty())
			}
		})
	}
	NewWithT(t).Expect(RemoveMain(nil)).To(Equal(2))
	NewWithT(t).Expect(RemoveMain([]string{filepath.Join(t.TempDir(), "none.json"), self.String()})).To(BeZero(), "nothing was made yet")
}

func TestLabelsInBothNotations(t *testing.T) {
	g := NewWithT(t)
	for _, labels := range []string{"map[a:true drain-web-1-worker:true]", "a=b,drain-web-1-worker=true", "drain-web-1-worker"} {
		g.Expect(hasLabel(labels, "drain-web-1-worker")).To(BeTrue(), labels)
		g.Expect(hasLabel(labels, "drain-web-1")).To(BeFalse(), labels)
	}
	g.Expect(hasLabel("map[]", "drain-web-1-worker")).To(BeFalse())
}

func TestTheEndOfAnOutputIsKept(t *testing.T) {
	g := NewWithT(t)
	long := strings.Repeat("a", cluster.OutputLimit) + "the end"
	g.Expect(end(long)).To(HaveLen(cluster.OutputLimit))
	g.Expect(end(long)).To(HaveSuffix("the end"))
	g.Expect(end("short")).To(Equal("short"))
}

// TestExplainAsksTheNodesThatAreMissing, and no others.
func TestExplainAsksTheNodesThatAreMissing(t *testing.T) {
	g := NewWithT(t)
	f := newFakeEngine(t, `"exec drain-web-1-worker") echo "E1124 unknown flag: --flag-of-the-future";;
"exec drain-web-1-control-plane") echo "all is well";;`)
	client, err := f.provider.open(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	c := newCluster(f.provider.options, client, spec(1, 1), Image{})
	err = c.explain(t.Context(), fmt.Errorf("create: %w", &ready.NodesError{Missing: []string{"worker-1"}, Err: context.DeadlineExceeded}))
	g.Expect(err).To(MatchError(context.DeadlineExceeded))
	g.Expect(err).To(MatchError(HaveSuffix("the last lines of the kubelet of worker-1:\n    E1124 unknown flag: --flag-of-the-future")))
	g.Expect(err).NotTo(MatchError(ContainSubstring("all is well")))
}
