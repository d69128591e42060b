// This is a generated file. Do not edit directly.

module scratch

go 1.24.0

godebug default=go1.24

require (
	github.com/google/cadvisor v0.52.1
	github.com/mohae/deepcopy v0.0.0-20170929034955-c48cc78d4826
	k8s.io/api v0.35.0-rc.1
	k8s.io/client-go v0.35.0-rc.1
	k8s.io/klog/v2 v2.130.1
	k8s.io/kube-openapi v0.0.0-20250710124328-f3f2b991d03b
	k8s.io/sample-apiserver v0.35.0-rc.1
	k8s.io/utils v0.0.0-20250604170112-4c0f3b243397
	sigs.k8s.io/json v0.0.0-20241014173422-cfa47c3a1cc8
)

require (
	cel.dev/expr v0.24.0 // indirect
	k8s.io/metrics v0.35.0-rc.1 // indirect
	k8s.io/kubernetes v1.35.0-rc.1
)

replace github.com/google/cadvisor => github.com/example/cadvisor v0.52.2
