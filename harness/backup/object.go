package backup

import (
	"bytes"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/protobuf/encoding/protowire"
)

// identity says which object of the Kubernetes API a key of etcd holds.
type identity struct {
	resource             string // "deployments.apps", or the key's own first words where the API has no name for it
	namespace, name, uid string
	opaque               bool // the value can't be read: it is encrypted, or of no form that we know
}

const (
	// registry is where API servers keep objects, unless --etcd-prefix says otherwise.
	registry = "/registry/"
	// compactor is the key in which API servers note how far they have compacted (k8s.io/apiserver, pkg/storage/etcd3/compact.go).
	compactor = "compact_rev_key"
	// foreign is what we call other keys.
	foreign = "(keys that are no object)"
)

// Values of etcd are protobuf, JSON (custom resources), or encrypted.
// https://github.com/kubernetes/kubernetes/tree/master/staging/src/k8s.io/apimachinery/pkg/runtime/serializer/protobuf
// https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/
var protobufMagic = []byte("k8s\x00")

// stored are the resources that etcd has under another name, by that: Kubernetes' pkg/registry names them so for historical reasons.
var stored = map[string]string{
	"minions": "nodes", "controllers": "replicationcontrollers", "ingress": "ingresses",
	"services/specs": "services", "services/endpoints": "endpoints",
}

// identify reads who an object is from its key, and from its value as far as that can be read. A built-in resource has no group in its key, a custom one has.
func identify(key, value []byte) identity {
	path, ok := strings.CutPrefix(string(key), registry)
	switch {
	case path == compactor:
		return identity{resource: compactor, name: compactor}
	case !ok:
		return identity{resource: foreign, name: path}
	}
	words := strings.Split(path, "/")
	resource, rest := words[0], words[1:]
	if len(rest) > 0 {
		if known, ok := stored[resource+"/"+rest[0]]; ok {
			resource, rest = known, rest[1:]
		} else if strings.Contains(resource, ".") {
			resource, rest = rest[0]+"."+resource, rest[1:]
		}
	}
	if known, ok := stored[resource]; ok {
		resource = known
	}
	id := identity{resource: resource}
	meta, ok := decode(value)
	if !ok {
		id.opaque = true
		if len(rest) > 1 {
			id.namespace, rest = rest[0], rest[1:]
		}
		id.name = strings.Join(rest, "/")
		return id
	}
	if group, _, ok := strings.Cut(meta.apiVersion, "/"); ok && !strings.HasSuffix(resource, "."+group) {
		id.resource += "." + group
	}
	id.namespace, id.name, id.uid = meta.Namespace, meta.Name, meta.UID
	if id.name == "" {
		id.name = strings.Join(rest, "/") // ranges of addresses and ports have none
	}
	return id
}

// metadata is what every object says of itself.
type metadata struct {
	apiVersion string
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
}

func decode(value []byte) (metadata, bool) {
	if raw, ok := bytes.CutPrefix(value, protobufMagic); ok {
		return decodeProtobuf(raw)
	}
	if !bytes.HasPrefix(value, []byte("{")) {
		return metadata{}, false
	}
	return decodeJSON(value)
}

// decodeJSON reads no further than it must: API servers write the fields in the order of their names, so what is large comes last.
func decodeJSON(value []byte) (m metadata, ok bool) {
	d := jsontext.NewDecoder(bytes.NewBuffer(value))
	if _, err := d.ReadToken(); err != nil {
		return m, false
	}
	version, meta := false, false
	for !version || !meta {
		name, err := d.ReadToken()
		if err != nil || name.Kind() == '}' {
			return m, err == nil
		}
		switch name.String() {
		case "apiVersion":
			version, err = true, jsonv2.UnmarshalDecode(d, &m.apiVersion)
		case "metadata":
			meta, err = true, jsonv2.UnmarshalDecode(d, &m)
		default:
			err = d.SkipValue()
		}
		if err != nil {
			return metadata{}, false
		}
	}
	return m, true
}

// Numbers of the fields of runtime.Unknown, TypeMeta and ObjectMeta (k8s.io/apimachinery, generated.proto).
const (
	unknownTypeMeta, unknownRaw                 = 1, 2
	typeMetaAPIVersion                          = 1
	objectMeta                                  = 1 // of every object
	metaName, metaNamespace, metaUID protoField = 1, 3, 5
)

type protoField = protowire.Number

func decodeProtobuf(raw []byte) (m metadata, ok bool) {
	object, found := []byte(nil), false
	ok = fields(raw, func(n protoField, v []byte) bool {
		switch n {
		case unknownTypeMeta:
			return fields(v, func(n protoField, v []byte) bool {
				if n == typeMetaAPIVersion {
					m.apiVersion = string(v)
				}
				return true
			})
		case unknownRaw:
			object, found = v, true
		}
		return true
	})
	if !ok || !found {
		return m, false
	}
	found = false
	ok = fields(object, func(n protoField, v []byte) bool {
		if n != objectMeta || found {
			return true
		}
		found = true
		return fields(v, func(n protoField, v []byte) bool {
			switch n {
			case metaName:
				m.Name = string(v)
			case metaNamespace:
				m.Namespace = string(v)
			case metaUID:
				m.UID = string(v)
			}
			return true
		})
	})
	return m, ok
}

// fields calls for each length-delimited field of a message, until one is refused. It is false when one was, or when this is no message.
func fields(message []byte, each func(protoField, []byte) bool) bool {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return false
		}
		message = message[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
				return false
			}
			message = message[n:]
			continue
		}
		v, n := protowire.ConsumeBytes(message)
		if n < 0 || !each(number, v) {
			return false
		}
		message = message[n:]
	}
	return true
}
