package judge

import (
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// The bounds of the sandbox. They are far above what an honest policy needs.
const (
	// MaxPolicyFile is the largest policy file, in bytes.
	MaxPolicyFile = 256 << 10
	// MaxPolicyFiles is the largest number of policy files in one folder.
	MaxPolicyFiles = 2000
	// DefaultDeadline is how long one evaluation of one policy may take.
	DefaultDeadline = 2 * time.Second
)

// forbiddenPrefixes are builtins that OPA calls deterministic and that still have no place in a judgement: keys and
// signatures, cloud requests, and the compiler itself. print stays: the compiler drops it outside of tests.
var forbiddenPrefixes = []string{"crypto.", "io.jwt.", "providers.", "net.lookup", "http.", "opa.", "rego.", "trace"}

// forbidden tells whether a builtin is kept from policies: it isn't deterministic, or reaches out of the evaluation.
func forbidden(b *ast.Builtin) bool {
	if b.Nondeterministic {
		return true
	}
	for _, prefix := range forbiddenPrefixes {
		if strings.HasPrefix(b.Name, prefix) {
			return true
		}
	}
	return false
}

// sandbox returns what policies may use, and the names of the builtins that they may not.
func sandbox() (allowed *ast.Capabilities, denied map[string]bool) {
	allowed = ast.CapabilitiesForThisVersion()
	denied = map[string]bool{}
	var keep []*ast.Builtin
	for _, b := range allowed.Builtins {
		if forbidden(b) {
			denied[b.Name] = true
			continue
		}
		keep = append(keep, b)
	}
	allowed.Builtins = keep
	allowed.AllowNet = []string{} // an empty list is "no host"; nil would be "every host"
	return allowed, denied
}
