package kind

// BalancerImage is the image of the container that kind puts before several control planes: the constant Image of its internal package
// pkg/cluster/internal/loadbalancer. A test holds it to the kind that is linked.
const BalancerImage = "docker.io/envoyproxy/envoy:v1.36.2"
