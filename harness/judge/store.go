package judge

import (
	"context"
	"fmt"
	"reflect"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"

	"github.com/seatrial/seatrial/harness/world"
)

// document is what policies see as data. It is an OPA store that reads straight from the worlds: what a policy asks
// for is converted when it asks, and nothing else is. So folding an event costs judging nothing, nothing has to be
// kept in step, and a policy that looks up one pod pays for one pod.
//
// Evaluations and changes to the worlds must not overlap; a document is used from one goroutine.
type document struct {
	storage.WritesNotSupported
	storage.PolicyNotSupported
	storage.TriggersNotSupported

	// World is data.world: the world at the moment that is judged.
	World *world.World `json:"world"`
	// First is data.first: the world when the steps began; nil, and so undefined, before.
	First *world.World `json:"first"`
	// params is data.params: the parameters of each policy, by id.
	params ast.Value

	transactions uint64
	// converted are the entities that this moment converted already, by their pointers.
	converted map[any]*ast.Term
}

// moment forgets what was converted: the worlds have changed.
func (d *document) moment() {
	if d.converted == nil {
		d.converted = map[any]*ast.Term{}
	}
	clear(d.converted)
}

// term converts a value. An entity is converted once in a moment, although the input shows it and policies read it.
func (d *document) term(v reflect.Value) (*ast.Term, error) {
	if v.Kind() != reflect.Pointer || d.converted == nil {
		return toTerm(v)
	}
	if known, ok := d.converted[v.Interface()]; ok {
		return known, nil
	}
	t, err := toTerm(v)
	d.converted[v.Interface()] = t
	return t, err
}

type transaction uint64

func (t transaction) ID() uint64 { return uint64(t) }

// NewTransaction begins a read.
func (d *document) NewTransaction(context.Context, ...storage.TransactionParams) (storage.Transaction, error) {
	d.transactions++
	return transaction(d.transactions), nil
}

// Commit ends a transaction.
func (d *document) Commit(context.Context, storage.Transaction) error { return nil }

// Abort ends a transaction.
func (d *document) Abort(context.Context, storage.Transaction) {}

// Truncate is not supported: a document can't be written.
func (d *document) Truncate(context.Context, storage.Transaction, storage.TransactionParams, storage.Iterator) error {
	return &storage.Error{Code: storage.WritesNotSupportedErr}
}

// Read returns the document at path as an [ast.Value].
func (d *document) Read(_ context.Context, _ storage.Transaction, path storage.Path) (any, error) {
	if len(path) > 0 && path[0] == "params" {
		value, err := d.params.Find(refOf(path[1:]))
		if err != nil {
			return nil, &storage.Error{Code: storage.NotFoundErr, Message: path.String()}
		}
		return value, nil
	}
	v := reflect.ValueOf(d)
	for i, name := range path {
		if v = step(v, name); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
			return nil, &storage.Error{Code: storage.NotFoundErr, Message: path[:i+1].String()}
		}
	}
	term, err := d.term(v)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return term.Value, nil
}

func refOf(path storage.Path) ast.Ref {
	ref := make(ast.Ref, len(path))
	for i, name := range path {
		ref[i] = ast.StringTerm(name)
	}
	return ref
}

// step goes from a value to the part of it that name names; the result is invalid when there is none.
func step(v reflect.Value, name string) reflect.Value {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Map:
		return v.MapIndex(reflect.ValueOf(name))
	case reflect.Struct:
		for _, f := range fieldsOf(v.Type()) {
			if string(f.name.Value.(ast.String)) == name {
				if v = v.Field(f.index); f.omitEmpty && v.IsZero() {
					return reflect.Value{}
				}
				return v
			}
		}
	case reflect.Slice:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < v.Len() {
			return v.Index(i)
		}
	}
	return reflect.Value{}
}
