package kubernetes

import (
	"context"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanewise/lanewise/kubernetes/metrics"
)

// FrontProxy is how the API server shows itself to those it passes requests on to. It
// changes when the cluster's certificates are exchanged. Safe for concurrent use.
type FrontProxy struct {
	cluster *Cluster
	current atomic.Pointer[metrics.Proxy]
}

// Where every API server says it, and how often it is looked at.
const (
	proxyNamespace = "kube-system"
	proxyMap       = "extension-apiserver-authentication"
	proxyEvery     = time.Minute
	proxyRetry     = 3 * time.Second
)

// FrontProxy returns what is asked for by Run.
func (c *Cluster) FrontProxy() *FrontProxy {
	p := &FrontProxy{cluster: c}
	p.current.Store(&metrics.Proxy{})
	return p
}

// Get returns what was true last. Before the first answer it is empty, and nobody is
// believed.
func (p *FrontProxy) Get() metrics.Proxy { return *p.current.Load() }

// Run asks the API server every minute, and every few seconds while it does not answer,
// until ctx ends. What is known stays. The service account needs the role
// extension-apiserver-authentication-reader in the namespace kube-system.
func (p *FrontProxy) Run(ctx context.Context) {
	troubled := false
	for {
		err, pause := p.refresh(ctx), proxyEvery
		if err != nil {
			pause = proxyRetry
		}
		if err != nil && !troubled && ctx.Err() == nil {
			p.cluster.log.WarnContext(ctx, "the API server does not say how it shows itself: what it said last counts", "event", "FrontProxyUnknown", "err", err)
		}
		if troubled = err != nil; !wait(ctx, pause) {
			return
		}
	}
}

func (p *FrontProxy) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	found, err := p.cluster.core.ConfigMaps(proxyNamespace).Get(ctx, proxyMap, metav1.GetOptions{})
	if err != nil {
		return classify("read the ConfigMap "+within(proxyNamespace, proxyMap), err)
	}
	next, err := metrics.ParseProxy(found.Data)
	if err != nil {
		return err
	}
	p.current.Store(&next)
	return nil
}
