package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seatrial/seatrial/harness/world"
)

// The fleet that is upgraded: ten workers at a time, of which each has about ten pods. Every Deployment has a budget that lets a quarter of its pods be away, as a
// Deployment's own roll-out does, and some are asked all the time. With budgets that let one pod be away, what is measured is how long the controller manager takes to see that a budget has room again: it has one worker for all of them, and
// on two cores was ten seconds behind. Ten teams have a namespace each: every eviction lists the budgets of its namespace.
const (
	fleetWorkers  = 100
	fleetApps     = 100
	fleetReplicas = 10
	fleetProbed   = 10
	fleetTeams    = 10
	fleetScenario = `apiVersion: seatrial.dev/v1alpha1
kind: Scenario
metadata: {name: bench-fleet}
spec:
  cluster: {kubernetesVersion: v1.33, controlPlanes: 3, workers: %d}
  objects: [{file: apps.yaml}]
  probes:
%s  steps:
  - id: roll
    upgrade: {to: v1.34, workers: {parallel: 10, maxUnavailable: 10}, drain: {timeout: 2m, retryDelay: 1s}}
  policies:
    params: {availability/api_outage: {max: 2s}}
    except: # a leader whose API server is replaced while the machine is busy can't renew its lease in time
    - {id: component/not_restarted, subject: "component/*/kube-controller-manager", reason: it ends then and is started again}
    - {id: component/not_restarted, subject: "component/*/kube-scheduler", reason: it ends then and is started again}
`
	fleetProbe = "  - {name: %[1]s, service: {namespace: %[2]s, name: %[1]s, port: 80}}\n"
	fleetTeam  = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n"
	fleetApp   = `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: %[3]s}
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata:
      labels: {app: %[1]s}
      annotations: {sim.seatrial.dev/startup: 1s, sim.seatrial.dev/shutdown: 5s}
    spec:
      terminationGracePeriodSeconds: 5
      containers: [{name: main, image: seatrial.dev/workload:v1, ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: %[3]s}
spec: {selector: {app: %[1]s}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: %[1]s, namespace: %[3]s}
spec: {maxUnavailable: 25%%, selector: {matchLabels: {app: %[1]s}}}
`
	limitFleet       = 180 // seconds
	limitFleetAPI    = 2   // seconds
	probeInterval    = 200 * time.Millisecond
	limitFleetNobody = 0.2 // seconds: no request went wrong, as far as one can tell that asks so often
)

// team is the namespace of an app.
func team(app int) string { return fmt.Sprintf("team-%d", app%fleetTeams) }

// measureFleet upgrades a fleet on the embedded cluster, once: it is minutes long.
func measureFleet(ctx context.Context, b *bench) (rows []row, err error) {
	t, err := b.newBerth()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.supervisor.RemoveDir(string(t))) }()
	folder := filepath.Join(string(t), "bench-fleet")
	var probes, apps strings.Builder
	for i := range fleetTeams {
		fmt.Fprintf(&apps, fleetTeam, team(i))
	}
	for i := range fleetApps {
		name := fmt.Sprintf("app-%d", i)
		fmt.Fprintf(&apps, fleetApp, name, fleetReplicas, team(i))
		if i < fleetProbed {
			fmt.Fprintf(&probes, fleetProbe, name, team(i))
		}
	}
	if err := writeScenario(folder, fmt.Sprintf(fleetScenario, fleetWorkers, &probes), "apps.yaml", []byte(apps.String())); err != nil {
		return nil, err
	}
	r, err := b.rehearse(ctx, t, folder, 0)
	if err != nil {
		return nil, err
	}
	steps := r.stepsTook()
	api, services, err := r.outages()
	if err != nil {
		return nil, err
	}
	for _, o := range slices.Concat(api, services) {
		b.say("fleet: %s did not answer for %.2f s from %s on: %s", o.Subject, o.Seconds, o.From.Format(time.TimeOnly), o.Reason)
	}
	apiAway, serviceAway := longest(api), longest(services)
	b.say("fleet: upgraded in %.1f s, the API was away for at most %.2f s, a service for %.2f s", steps.Seconds(), apiAway.Seconds(), serviceAway.Seconds())
	return []row{
		{fmt.Sprintf("upgrade of 3 control planes and %d workers", fleetWorkers), took(steps), nil, limitFleet},
		{"the API away meanwhile, at most", took(max(apiAway, probeInterval)), nil, limitFleetAPI},
		{"a service away meanwhile, at most", took(max(serviceAway, probeInterval)), nil, limitFleetNobody},
	}, nil
}

// longest is the time of the longest interval; zero when there is none.
func longest(all []world.Interval) (d time.Duration) {
	for _, iv := range all {
		d = max(d, iv.To.Sub(iv.From))
	}
	return d
}
