// Package metrics serves the external metrics API of Kubernetes
// (external.metrics.k8s.io/v1beta1), from which a Horizontal Pod Autoscaler learns how
// full the lanes are.
//
// It is an aggregated API: the API server of the cluster has authenticated and authorised
// whoever asks, and passes the request on with a client certificate of its own and the
// user's name in a header. [New] answers nobody else. An APIService leads to any one of
// several routers, so each of them knows the figures of all: a [Collector] asks the others.
package metrics
