package engine

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

// install puts programs of this name, which are these scripts, on an otherwise empty search path.
func install(t *testing.T, scripts map[string]string) string {
	dir := t.TempDir()
	for name, script := range scripts {
		NewWithT(t).Expect(os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755)).To(Succeed())
	}
	t.Setenv("PATH", dir)
	return dir
}

func TestFindTakesTheFirstThatAnswers(t *testing.T) {
	g := NewWithT(t)
	dir := install(t, map[string]string{
		"docker": `echo "Cannot connect to the Docker daemon. Is it running?" >&2; exit 1`,
		"podman": `echo 4.3.1`,
	})
	e, err := Find(t.Context(), "")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(e).To(Equal(Engine{Name: Podman, Path: filepath.Join(dir, "podman"), Version: "4.3.1"}))
}

func TestLookForImages(t *testing.T) {
	g := NewWithT(t)
	dir := install(t, map[string]string{"podman": `echo seatrial.dev/node:v1.34.4; echo docker.io/kindest/node:v1.33.1; echo seatrial.dev/node:v1.34.4`})
	f := Facts{Engine: Engine{Name: Podman, Path: filepath.Join(dir, "podman")}}
	f.LookForImages(t.Context())
	g.Expect(f.NodeImages).To(Equal([]string{"docker.io/kindest/node:v1.33.1", "seatrial.dev/node:v1.34.4"}))

	install(t, map[string]string{"podman": "exit 1"})
	broken := Facts{Engine: Engine{Name: Podman, Path: filepath.Join(dir, "nowhere")}}
	broken.LookForImages(t.Context())
	g.Expect(broken.Unread).To(HaveLen(1), "what can't be looked at is unknown")
}

func TestFindSaysWhyNoneCanBeUsed(t *testing.T) {
	for name, c := range map[string]struct {
		scripts map[string]string
		engine  string
		want    string
	}{
		"none is installed": {nil, "", "no container engine: docker is not installed; podman is not installed"},
		"the asked one is not installed, another is": {
			map[string]string{"podman": "echo 4.3.1"}, Docker, "no container engine: docker is not installed",
		},
		"no rights": {
			map[string]string{"docker": `echo "permission denied while trying to connect" >&2; exit 1`}, Docker, "docker does not work: permission denied while trying to connect",
		},
		"no version": {map[string]string{"podman": "exit 0"}, Podman, "podman does not work: it said no version"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			install(t, c.scripts)
			_, err := Find(t.Context(), c.engine)
			var missing *MissingError
			g.Expect(errors.As(err, &missing)).To(BeTrue())
			g.Expect(err).To(MatchError(ContainSubstring(c.want)))
		})
	}
}

func TestFindRefusesAnEngineItDoesNotKnow(t *testing.T) {
	_, err := Find(t.Context(), "rkt")
	NewWithT(t).Expect(err).To(MatchError(`unknown engine "rkt"; known are docker, podman`))
}

// good is a machine on which nothing is to be done.
func good() Facts {
	return Facts{
		Engine: Engine{Name: Podman, Path: "/usr/bin/podman", Version: "4.3.1"}, Runc: "/usr/sbin/runc", Bootstrap: "/usr/bin/mmdebstrap",
		Root: true, Cgroups: Unified, Capabilities: 1<<41 - 1, Modules: true,
		Limits:         Limits{OpenFiles: 20000, Processes: 96000, PIDs: 32768},
		NodeImages:     []string{"seatrial.dev/node:v1.34.4"},
		InotifyWatches: wantWatches, InotifyInstances: wantInstances,
		Storage: "/var/lib/containers/storage", StorageFree: 50 << 30, Memory: 20 << 30,
	}
}

func TestExamineFindsNothingOnAGoodMachine(t *testing.T) {
	g := NewWithT(t)
	checks := Examine(good())
	for _, c := range checks {
		g.Expect(c.State).To(Equal(Fine), c.Name)
		g.Expect(c.Do).To(BeEmpty(), c.Name)
	}
	g.Expect(Worst(checks)).To(Equal(Fine))
}

func TestExamineFindsWhatIsMissing(t *testing.T) {
	const sysAdmin, sysResource = 1 << 21, 1 << 24
	for name, c := range map[string]struct {
		spoil func(*Facts)
		check string
		state State
		found string
		do    string
	}{
		"no engine": {func(f *Facts) {
			f.Engine, f.EngineErr = Engine{}, &MissingError{[]error{errors.New("podman is not installed")}}
		},
			"engine", Missing, "podman is not installed", "apt-get install podman"},
		"crun and hybrid control groups": {func(f *Facts) { f.Runc, f.Cgroups = "", Hybrid }, "runtime", Missing, "crun refuses", "apt-get install runc"},
		"crun and unified ones":          {func(f *Facts) { f.Runc = "" }, "runtime", Note, "tested with runc", "apt-get install runc"},
		"not root":                       {func(f *Facts) { f.Root = false }, "capabilities", Note, "not root", "rootless"},
		"no CAP_SYS_ADMIN":               {func(f *Facts) { f.Capabilities &^= sysAdmin }, "capabilities", Missing, "can't mount", "machine"},
		"no CAP_SYS_RESOURCE, podman":    {func(f *Facts) { f.Capabilities &^= sysResource }, "capabilities", Note, "own limits", ""},
		"no CAP_SYS_RESOURCE, docker": {func(f *Facts) { f.Engine.Name = Docker; f.Capabilities &^= sysResource },
			"capabilities", Missing, "docker can't start privileged containers", "--engine podman"},
		"capabilities not known":   {func(f *Facts) { f.Capabilities = 0 }, "capabilities", Unknown, "not known", "/proc/self/status"},
		"hybrid control groups":    {func(f *Facts) { f.Cgroups = Hybrid }, "cgroups", Note, "failCgroupV1", ""},
		"control groups not known": {func(f *Facts) { f.Cgroups = "" }, "cgroups", Unknown, "not known", "mount"},
		"few open files":           {func(f *Facts) { f.Limits.OpenFiles = 1024 }, "open files", Missing, "1024", "4096"},
		"few inotify instances":    {func(f *Facts) { f.InotifyInstances = 128 }, "inotify", Note, "128 instances", "sysctl"},
		"no inotify instances":     {func(f *Facts) { f.InotifyInstances = 8 }, "inotify", Missing, "8 instances", "sysctl"},
		"no modules":               {func(f *Facts) { f.Modules = false }, "modules", Missing, "/lib/modules", "mkdir -p /lib/modules"},
		"a full disk":              {func(f *Facts) { f.StorageFree = 1 << 30 }, "storage", Missing, "1.0 GiB free at /var/lib/containers/storage", "10 GiB"},
		"no memory":                {func(f *Facts) { f.Memory = 1 << 30 }, "memory", Missing, "1.0 GiB available", "2 GiB"},
		"no node image":            {func(f *Facts) { f.NodeImages = nil }, "node images", Note, "the first run", "seatrial image build"},
		"nothing to build with":    {func(f *Facts) { f.Bootstrap = "" }, "image build", Note, "mmdebstrap", "apt-get install mmdebstrap"},
		"a file that can't be read": {func(f *Facts) { f.Unread = []error{errors.New("open /proc/meminfo: permission denied")} },
			"machine", Unknown, "/proc/meminfo", "/proc"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			f := good()
			c.spoil(&f)
			checks := Examine(f)
			var states []State
			for _, got := range checks {
				if got.Name == c.check {
					states = append(states, got.State)
					g.Expect(got.Found).To(ContainSubstring(c.found))
					g.Expect(got.Do).To(ContainSubstring(c.do))
				}
			}
			g.Expect(states).To(Equal([]State{c.state}))
			g.Expect(Worst(checks)).To(Equal(c.state))
		})
	}
}

func TestLookReadsThisMachine(t *testing.T) {
	g := NewWithT(t)
	f := Look(t.Context(), "")
	g.Expect(f.Limits.OpenFiles).NotTo(BeZero())
	g.Expect(f.Limits.PIDs).NotTo(BeZero())
	g.Expect(f.Memory).NotTo(BeZero())
	g.Expect(f.Storage).NotTo(BeEmpty())
	for _, check := range Examine(f) {
		g.Expect(check.Found).NotTo(BeEmpty(), check.Name)
	}
}

func TestContainersConfIsNotOverTheLimits(t *testing.T) {
	g := NewWithT(t)
	conf := ContainersConf(Limits{OpenFiles: 20000, Processes: 96365, PIDs: 32768})
	g.Expect(conf).To(ContainSubstring(`default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]`))
	g.Expect(ContainersConf(Limits{OpenFiles: 20000, Processes: 4096, PIDs: 32768})).To(ContainSubstring(`"nproc=4096:4096"`))
	g.Expect(conf).To(ContainSubstring(`runtime = "runc"`))
}
