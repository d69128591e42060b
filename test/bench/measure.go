package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// The limits: ratios to the peer, or seconds.
const (
	limitCreate      = 1.2
	limitCreateThree = 2.5 // of the peer's one control plane
	limitNodes       = 0.6
	limitPods        = 0.6
	limitMemory      = 1.2
	limitDrain       = 3    // seconds beyond the pods' own grace period
	limitHelp        = 0.15 // seconds
	limitJudge       = 5    // seconds
	limitRoll        = 5    // seconds
)

// What clusters are filled with.
const (
	manyNodes = 1000
	manyPods  = 5000
)

// measureCreate measures how long it takes until a control plane is ready.
func measureCreate(ctx context.Context, b *bench) ([]row, error) {
	kwokctl, err := b.kwokctl(ctx)
	if err != nil {
		return nil, err
	}
	var one, three, peer []time.Duration
	for range b.rounds {
		for _, turn := range []struct {
			maker maker
			shape shape
			times *[]time.Duration
		}{
			{b.ours(), shape{1, 1}, &one},
			{kwokctl, shape{1, 0}, &peer},
			{b.ours(), shape{3, 1}, &three},
		} {
			r, err := turn.maker.start(ctx, turn.shape)
			if err != nil {
				return nil, err
			}
			b.say("%s: %d control planes ready after %.2f s", turn.maker.name, turn.shape.controlPlanes, r.ready.Seconds())
			*turn.times = append(*turn.times, r.ready)
			if err := r.close(ctx); err != nil {
				return nil, err
			}
		}
	}
	theirs := took(median(peer))
	return []row{
		{"1 control plane ready", took(median(one)), &theirs, limitCreate},
		{"3 control planes ready", took(median(three)), &theirs, limitCreateThree},
	}, nil
}

// filled is what it took to fill a cluster.
type filled struct {
	nodes, pods []time.Duration
	memory      []int64 // bytes
}

// measureScale fills a cluster with nodes and pods, and measures what memory it then needs.
func measureScale(ctx context.Context, b *bench) ([]row, error) {
	kwokctl, err := b.kwokctl(ctx)
	if err != nil {
		return nil, err
	}
	var ours, peer filled
	for range b.rounds {
		if err := b.fill(ctx, b.ours(), &ours); err != nil {
			return nil, err
		}
		if err := b.fill(ctx, kwokctl, &peer); err != nil {
			return nil, err
		}
	}
	nodes, pods, memory := took(median(peer.nodes)), took(median(peer.pods)), uses(median(peer.memory))
	return []row{
		{fmt.Sprintf("%d nodes Ready", manyNodes), took(median(ours.nodes)), &nodes, limitNodes},
		{fmt.Sprintf("%d pods Running", manyPods), took(median(ours.pods)), &pods, limitPods},
		{"memory of it all", uses(median(ours.memory)), &memory, limitMemory},
	}, nil
}

// fill makes a cluster, fills it, and notes what it took.
func (b *bench) fill(ctx context.Context, m maker, f *filled) (err error) {
	r, err := m.start(ctx, shape{1, manyNodes})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close(ctx)) }()
	nodes, err := r.nodesReady(ctx)
	if err != nil {
		return err
	}
	if err := awaitDaemons(ctx, r.client, manyNodes); err != nil {
		return err
	}
	began := time.Now()
	if err := r.addPods(ctx, manyPods); err != nil {
		return err
	}
	if err := awaitPods(ctx, r.client, manyPods); err != nil {
		return err
	}
	pods := time.Since(began)
	sum, programs, err := r.berth.usage()
	if err != nil {
		return err
	}
	b.say("%s: %d nodes Ready after %.1f s, %d pods Running after %.1f s, memory %s, processors busy for %.0f s",
		m.name, manyNodes, nodes.Seconds(), manyPods, pods.Seconds(), uses(sum.memory), sum.work.Seconds())
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		b.say("  %s: memory %s, processors busy for %.0f s", name, uses(programs[name].memory), programs[name].work.Seconds())
	}
	f.nodes, f.pods, f.memory = append(f.nodes, nodes), append(f.pods, pods), append(f.memory, sum.memory)
	return nil
}

// helps is how often seatrial --help is run.
const helps = 5

// measureHelp measures how long `seatrial --help` takes when nothing of the binary is in memory.
func measureHelp(ctx context.Context, b *bench) ([]row, error) {
	var times []time.Duration
	for range helps {
		if err := evict(b.seatrial); err != nil {
			return nil, err
		}
		began := time.Now()
		if err := command(ctx, "", os.Environ(), b.seatrial, "--help"); err != nil {
			return nil, err
		}
		times = append(times, time.Since(began))
		b.say("seatrial --help took %s", took(times[len(times)-1]))
	}
	return []row{{"seatrial --help, cold", took(median(times)), nil, limitHelp}}, nil
}

// evict takes a file out of the page cache. It needs no root, and disturbs nobody else, as dropping all caches would.
func evict(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("evict from the page cache: %w", err)
	}
	defer file.Close()
	// Only pages that are on the disk can be dropped.
	if err := errors.Join(file.Sync(), unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED)); err != nil {
		return fmt.Errorf("evict %q from the page cache: %w", path, err)
	}
	return nil
}

// harnessTimeout bounds a benchmark of the harness and the compilation before it.
const harnessTimeout = 10 * time.Minute

// measureJudge has all policies judge a recording of 50,000 events.
func measureJudge(ctx context.Context, b *bench) ([]row, error) {
	return measureHarness(ctx, b, "judge", row{what: "judging 50,000 events", limit: limitJudge})
}

// measureRoll looks whether 5000 nodes with 50,000 pods and 500 budgets can be drained.
func measureRoll(ctx context.Context, b *bench) ([]row, error) {
	return measureHarness(ctx, b, "roll", row{what: "checking a roll of 5000 nodes", limit: limitRoll})
}

// measureHarness runs the one benchmark of a package of the harness.
func measureHarness(ctx context.Context, b *bench, name string, r row) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, harnessTimeout)
	defer cancel()
	pkg := "github.com/seatrial/seatrial/harness/" + name
	c := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", ".", "-benchtime", "1x", "-count", strconv.Itoa(b.rounds), pkg)
	out, err := c.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test %s: %w; output: %s", pkg, err, out)
	}
	each, err := perOperation(string(out))
	if err != nil {
		return nil, fmt.Errorf("go test %s: %w", pkg, err)
	}
	r.ours = took(each)
	return []row{r}, nil
}

var benchmarkLine = regexp.MustCompile(`(?m)^Benchmark\S*\s+\d+\s+([0-9.]+) ns/op`)

// perOperation is the median of what go test -bench prints.
func perOperation(out string) (time.Duration, error) {
	var times []time.Duration
	for _, match := range benchmarkLine.FindAllStringSubmatch(out, -1) {
		ns, err := strconv.ParseFloat(match[1], 64)
		if err != nil {
			return 0, fmt.Errorf("read %q: %w", match[0], err)
		}
		times = append(times, time.Duration(ns))
	}
	if len(times) == 0 {
		return 0, fmt.Errorf("no benchmark was printed: %s", out)
	}
	return median(times), nil
}
