// Package kubernetes is what a program on a cluster learns from its API server: who is
// behind a service ([Cluster.Endpoints], a source of members), how the API server shows
// itself to those it passes requests on to ([Cluster.FrontProxy]), and a shard map that
// several routers share ([Cluster.Map]).
//
// It is the only package with a client of Kubernetes; programs that embed the router do
// not link it.
package kubernetes
