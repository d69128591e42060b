package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func against(m measure) *measure { return &m }

func TestRows(t *testing.T) {
	tests := []struct {
		name string
		row  row
		ok   bool
		text []string
	}{
		{"under the ratio", row{"nodes", took(10 * time.Second), against(took(20 * time.Second)), 0.6}, true, []string{"10.00 s", "20.00 s", "0.50", "0.60", "ok"}},
		{"on the ratio", row{"nodes", took(6 * time.Second), against(took(10 * time.Second)), 0.6}, true, []string{"ok"}},
		{"over the ratio", row{"nodes", took(13 * time.Second), against(took(20 * time.Second)), 0.6}, false, []string{"0.65", "OVER"}},
		{"bytes", row{"memory", uses(3 << 30), against(uses(2 << 30)), 1.2}, false, []string{"3072 MiB", "2048 MiB", "1.50", "OVER"}},
		{"absolute", row{"help", took(40 * time.Millisecond), nil, 0.15}, true, []string{"40 ms", "150 ms", "ok"}},
		{"absolute, over", row{"help", took(151 * time.Millisecond), nil, 0.15}, false, []string{"OVER"}},
		{"faster than nothing", row{"drain", took(-time.Millisecond), nil, 3}, true, []string{"ok"}},
		{"ours not measured", row{"nodes", took(0), against(took(20 * time.Second)), 0.6}, false, []string{"OVER"}},
		{"peer not measured", row{"nodes", took(time.Second), against(took(0)), 0.6}, false, []string{"OVER"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			over, err := printTable(&out, []row{test.row})
			if err != nil {
				t.Fatal(err)
			}
			if (over == 0) != test.ok {
				t.Errorf("%d rows are over, ok should be %v", over, test.ok)
			}
			for _, text := range append(test.text, test.row.what) {
				if !strings.Contains(out.String(), text) {
					t.Errorf("the table lacks %q:\n%s", text, out.String())
				}
			}
		})
	}
}

func TestExitStatus(t *testing.T) {
	good := row{"a", took(time.Second), nil, 2}
	bad := row{"b", took(3 * time.Second), nil, 2}
	tests := []struct {
		name   string
		rows   []row
		err    error
		status int
		stderr string
	}{
		{"all kept", []row{good, good}, nil, 0, ""},
		{"one over", []row{good, bad}, nil, 1, "1 of 2 are over their limit"},
		{"one not measured", []row{good}, errors.New("start kwokctl: no such file"), 1, "no such file"},
		{"nothing measured", nil, nil, 1, "nothing was measured"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			if status := conclude(&stdout, &stderr, test.rows, test.err); status != test.status {
				t.Errorf("exit status %d, want %d", status, test.status)
			}
			if !strings.Contains(stderr.String(), test.stderr) || test.stderr == "" && stderr.String() != "" {
				t.Errorf("stderr is %q, want %q", stderr.String(), test.stderr)
			}
		})
	}
}

func TestMedian(t *testing.T) {
	for want, of := range map[time.Duration][]time.Duration{
		3: {3},
		5: {9, 1, 5},
		4: {3, 5},
	} {
		if got := median(of); got != want {
			t.Errorf("median of %v is %v, want %v", of, got, want)
		}
	}
}

func TestPerOperation(t *testing.T) {
	out := "goos: linux\nBenchmarkRun-2   \t       1\t4321000000 ns/op\t  12.10 MB/s\nPASS\n"
	got, err := perOperation(out)
	if err != nil || got != 4321*time.Millisecond {
		t.Errorf("perOperation = %v, %v", got, err)
	}
	if _, err := perOperation("PASS\n"); err == nil {
		t.Error("an output without a benchmark is no error")
	}
}
