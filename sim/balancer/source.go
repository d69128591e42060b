package balancer

import "embed"

// Source is the source of this package, for the program in kind's load balancer container, which is built where the container's image is.
//
//go:embed balancer.go health.go
var Source embed.FS
