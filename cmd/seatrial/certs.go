package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/seatrial/seatrial/harness/certs"
	"github.com/seatrial/seatrial/harness/cluster"
	"github.com/seatrial/seatrial/harness/run"
	"github.com/seatrial/seatrial/harness/scenario"
	"github.com/seatrial/seatrial/harness/trace"
)

func newCertsCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "certs",
		Short: "Show the certificates of a cluster where they really are",
		Args:  subcommand,
		RunE:  help,
	}
	c.AddCommand(newCertsListCommand(a))
	return c
}

// certsFlags say whose certificates are listed.
type certsFlags struct {
	rehearsalFlags
	kubeconfig, version string
	controlPlanes       int
}

// inventory is what certs list prints.
type inventory struct {
	Certificates []trace.CertificateData `json:"certificates"`
	// Unseen is what could not be looked at, and why.
	Unseen []string `json:"unseen"`
}

func newCertsListCommand(a *app) *cobra.Command {
	var f certsFlags
	var output string
	c := &cobra.Command{
		Use:   "list [RUN]",
		Short: "List every certificate: on disk, in kubeconfigs, served, loaded",
		Long: "List every certificate of a cluster with its place: on disk, in a kubeconfig, served in a handshake, loaded by a component that reads it once.\n" +
			"Of a recorded run, what was found there last. With --kubeconfig, of any cluster, what can be seen from outside: it is only read.\n" +
			"With --provider, of a new cluster that is made for it and removed.",
		Example: "  seatrial certs list --kubeconfig ~/.kube/config\n  seatrial certs list --provider kind --kubernetes-version v1.34 --control-planes 3\n  seatrial certs list runs/rotate-certificates-20261128-100000-beef -o json",
		Args: func(c *cobra.Command, args []string) error {
			ways := len(args)
			for _, flag := range []string{"kubeconfig", "provider"} {
				if c.Flags().Changed(flag) {
					ways++
				}
			}
			if len(args) > 1 || ways != 1 {
				return usageError{errors.New("give one of RUN, --kubeconfig and --provider")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if output != "" && output != "wide" && output != "json" {
				return usageError{fmt.Errorf("-o %s: use wide or json, or nothing for a table", output)}
			}
			found, err := a.inventory(c.Context(), f, args)
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(a.stdout, found)
			}
			return a.showCertificates(found, time.Now(), output == "wide")
		},
	}
	f.providerFlags.register(c)
	c.Flags().StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig of the cluster that is looked at from outside")
	c.Flags().StringVar(&f.version, "kubernetes-version", "v1.34", "with --provider: the new cluster's version")
	c.Flags().IntVar(&f.controlPlanes, "control-planes", 1, "with --provider: how many control planes it has")
	c.Flags().StringVarP(&output, "output", "o", "", "wide for a table with serial numbers, names, keys and beginnings too; json for programs")
	return c
}

// inventory finds the certificates of a recorded run, of a cluster that exists, or of one that is made for it.
func (a *app) inventory(ctx context.Context, f certsFlags, args []string) (inventory, error) {
	switch {
	case f.kubeconfig != "":
		content, err := os.ReadFile(f.kubeconfig)
		if err != nil {
			return inventory{}, usageError{err}
		}
		path, err := filepath.Abs(f.kubeconfig)
		if err != nil {
			return inventory{}, err
		}
		info, err := os.Stat(f.kubeconfig)
		if err != nil {
			return inventory{}, usageError{err}
		}
		seen, err := certs.See(ctx, cluster.CertificateFile{Path: path, Mode: info.Mode(), Written: info.ModTime(), Content: content})
		if err != nil {
			err = usageError{err}
		}
		return inventory(seen), err
	case len(args) == 1:
		rec, err := run.Open(args[0])
		if err != nil {
			return inventory{}, err
		}
		return recordedCertificates(rec)
	}
	return a.rehearsedCertificates(ctx, f)
}

// recordedCertificates are those that a run found last.
func recordedCertificates(rec *run.Recording) (inventory, error) {
	found := inventory{Certificates: []trace.CertificateData{}, Unseen: []string{}}
	w, err := rec.World()
	if err != nil {
		return found, err
	}
	var last *trace.InventoryData
	for _, look := range w.Inventories {
		if last == nil || look.Time.After(last.Time) {
			last = look
		}
	}
	if last == nil {
		return found, fmt.Errorf("run %q looked at no certificates", rec.Summary.Run)
	}
	found.Unseen = slices.Clone(last.Unreadable)
	for _, node := range slices.Sorted(maps.Keys(w.ServingRequests)) {
		if asked := w.ServingRequests[node]; len(asked.Pending) > 0 {
			found.Unseen = append(found.Unseen, fmt.Sprintf("what the kubelet of %s serves: it asks for a certificate since %s, and nothing has come of %s", node, asked.Since.Format(time.DateTime), strings.Join(asked.Pending, ", ")))
		}
	}
	for _, subject := range slices.Sorted(maps.Keys(w.Certificates)) {
		found.Certificates = append(found.Certificates, *w.Certificates[subject])
	}
	return found, nil
}

// lookScenario makes a cluster and looks at its certificates.
const lookScenario = `apiVersion: seatrial.dev/v1alpha1
kind: Scenario
metadata: {name: certs-list}
spec:
  cluster: {kubernetesVersion: %s, controlPlanes: %d, workers: 1}
  steps: [{id: look, checkCertificates: {}}]
`

// rehearsedCertificates are those of a cluster that is made for it.
func (a *app) rehearsedCertificates(ctx context.Context, f certsFlags) (found inventory, err error) {
	supervisor, err := a.processes(ctx)
	if err != nil {
		return found, err
	}
	dir, err := supervisor.TempDir("", "seatrial-")
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, supervisor.RemoveDir(dir)) }()
	path := filepath.Join(dir, "scenario.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, lookScenario, f.version, f.controlPlanes), 0o600); err != nil {
		return found, err
	}
	f.runs = filepath.Join(dir, "runs")
	rec, result, err := a.rehearse(ctx, path, f.rehearsalFlags, a.stderr)
	if err == nil && result.Verdict == scenario.Errored {
		err = fmt.Errorf("look at the certificates of a new cluster: %s", strings.Join(result.Reasons, "; "))
	}
	if err != nil {
		return found, err
	}
	return recordedCertificates(rec)
}

// showCertificates prints a table: a line each, what expires first at the top of its node.
func (a *app) showCertificates(found inventory, now time.Time, wide bool) error {
	list := slices.Clone(found.Certificates)
	slices.SortStableFunc(list, func(a, b trace.CertificateData) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), a.NotAfter.Compare(b.NotAfter), cmp.Compare(a.ID(), b.ID()))
	})
	table := tabwriter.NewWriter(a.stdout, 0, 4, 2, ' ', 0)
	more := func(...string) string { return "" }
	if wide {
		more = func(columns ...string) string { return "\t" + strings.Join(columns, "\t") }
	}
	fmt.Fprintln(table, "NODE\tPLACE\tWHAT\tSUBJECT\tSIGNED BY\tEXPIRES\tLEFT"+more("VALID FROM", "SERIAL", "KEY", "NAMES")+"\tREMARKS")
	for _, d := range list {
		expires, left, from, key := "-", "-", "-", "-"
		if !d.NotAfter.IsZero() {
			expires, left = d.NotAfter.Format(time.DateTime), leftOf(d.NotAfter.Sub(now))
			from = d.NotBefore.Format(time.DateTime)
		}
		if d.KeyKind != "" {
			key = fmt.Sprintf("%s-%d", d.KeyKind, d.KeyBits)
		}
		beyond := more(from, cmp.Or(d.Serial, "-"), key, cmp.Or(strings.Join(d.Names, ","), "-"))
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s%s\t%s\n", d.Node, d.Place, what(d), cmp.Or(d.Subject, "-"), signer(d), expires, left, beyond, strings.Join(remarks(d, now), "; "))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, u := range found.Unseen {
		fmt.Fprintf(a.stdout, "not seen: %s\n", u)
	}
	return nil
}

// what names a certificate in its node and place.
func what(d trace.CertificateData) string {
	_, name, _ := strings.Cut(strings.TrimPrefix(d.ID(), "certificate/"), "/")
	if d.Component == "" {
		name = "/" + name
	}
	return name
}

// signer is who signed a certificate: the file of the authority, or who the certificate says it was.
func signer(d trace.CertificateData) string {
	if d.Signer != "" {
		return filepath.Base(filepath.Dir(d.Signer)) + "/" + filepath.Base(d.Signer)
	}
	return cmp.Or(d.Issuer, "-")
}

// day is what times are rounded to that are longer.
const day = 24 * time.Hour

// leftOf writes a time as kubeadm certs check-expiration does: 364d, 3h, 5m.
func leftOf(left time.Duration) string {
	switch {
	case left <= 0:
		return "expired"
	case left >= day:
		return fmt.Sprintf("%dd", left/day)
	case left >= time.Hour:
		return fmt.Sprintf("%dh", left/time.Hour)
	}
	return left.Round(time.Second).String()
}

// remarks are what is to be known of a certificate beyond its end.
func remarks(d trace.CertificateData, now time.Time) []string {
	var list []string
	say := func(when bool, format string, args ...any) {
		if when {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	say(d.Problem != "", "%s", d.Problem)
	say(d.NotBefore.After(now), "not valid before %s", d.NotBefore.Format(time.DateTime))
	say(d.Place == trace.PlaceServed && d.Newest != nil && d.Newest.Serial != d.Serial, "%s has another", d.Path)
	say(d.Place == trace.PlaceLoaded && d.Serial == "", "runs since before the file was written: uses the one from before")
	say(d.Authority, "authority")
	say(d.External, "its key is not on the node")
	say(d.Replaced, "its authority was replaced")
	say(len(d.Missing) > 0, "lacks the names %s", strings.Join(d.Missing, ", "))
	say(d.Refusal != "", "the API does not take it: %s", d.Refusal)
	say(d.Rotates, "the kubelet renews it")
	say(d.ClockSeconds != 0, "its clock is %.0f s ahead of ours", d.ClockSeconds)
	return list
}
