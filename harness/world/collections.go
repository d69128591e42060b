package world

import (
	"maps"
	"reflect"
	"strings"
)

// Collections are the names of the collections of a world, which policies use: those of its fields that are maps, in their order.
var Collections, fieldOf = func() (names []string, fields map[string]int) {
	fields = map[string]int{}
	for i, t := 0, reflect.TypeFor[World](); i < t.NumField(); i++ {
		if f := t.Field(i); f.Type.Kind() == reflect.Map {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			names = append(names, name)
			fields[name] = i
		}
	}
	return names, fields
}()

// New returns an empty world.
func New() *World {
	w := &World{}
	v := reflect.ValueOf(w).Elem()
	for _, i := range fieldOf {
		v.Field(i).Set(reflect.MakeMap(v.Field(i).Type()))
	}
	return w
}

// Entity returns the entity with that name, or nil when it is gone. The result is what the world holds, not a copy.
func (w *World) Entity(r Ref) any {
	i, ok := fieldOf[r.Collection]
	if !ok {
		return nil
	}
	if e := reflect.ValueOf(w).Elem().Field(i).MapIndex(reflect.ValueOf(r.Key)); e.IsValid() {
		return e.Interface()
	}
	return nil
}

// Clone returns a copy that later events do not change.
func (w *World) Clone() *World {
	c := New()
	c.Promised = w.Promised
	from, to := reflect.ValueOf(w).Elem(), reflect.ValueOf(c).Elem()
	for _, i := range fieldOf {
		for iter := from.Field(i).MapRange(); iter.Next(); {
			copied := reflect.New(iter.Value().Type().Elem())
			copied.Elem().Set(iter.Value().Elem())
			to.Field(i).SetMapIndex(iter.Key(), copied)
		}
	}
	// The spread is counted in place; every other map and list of an entity is replaced when it changes.
	for _, wl := range c.Workloads {
		wl.Nodes = maps.Clone(wl.Nodes)
	}
	return c
}
