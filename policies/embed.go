// Package policies is the policy library: one folder per policy, rule and test
// side by side, embedded in the binary. It holds Rego and no Go but this file.
//
//	policies/drain/budget_respected/budget_respected.rego
//	policies/drain/budget_respected/budget_respected_test.rego
//
// Package harness/judge reads and evaluates it; docs/writing-a-policy.md says how to write one.
package policies

import "embed"

// FS holds the library, laid out as group/name/name.rego.
//
//go:embed */*/*.rego
var FS embed.FS
