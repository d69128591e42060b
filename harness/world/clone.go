package world

import "maps"

// Clone returns a copy that later events do not change.
func (w *World) Clone() *World {
	c := &World{
		Promised: w.Promised, Nodes: cloneAll(w.Nodes), Pods: cloneAll(w.Pods), Takings: cloneAll(w.Takings), Workloads: cloneAll(w.Workloads),
		Budgets: cloneAll(w.Budgets), Services: cloneAll(w.Services), Probes: cloneAll(w.Probes), Components: cloneAll(w.Components),
		Webhooks: cloneAll(w.Webhooks), APIs: cloneAll(w.APIs), Flags: cloneAll(w.Flags), Etcd: cloneAll(w.Etcd), Manifests: cloneAll(w.Manifests), Certificates: cloneAll(w.Certificates),
	}
	// The spread is counted in place; every other map and list of an entity is replaced when it changes.
	for _, wl := range c.Workloads {
		wl.Nodes = maps.Clone(wl.Nodes)
	}
	return c
}

func cloneAll[T any](m map[string]*T) map[string]*T {
	c := make(map[string]*T, len(m))
	for key, v := range m {
		copied := *v
		c[key] = &copied
	}
	return c
}
