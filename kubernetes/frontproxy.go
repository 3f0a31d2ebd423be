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
)

// FrontProxy asks the API server. Its error is fault.Refused where the service account
// may not read the ConfigMap: it needs the role extension-apiserver-authentication-reader
// in the namespace kube-system.
func (c *Cluster) FrontProxy(ctx context.Context) (*FrontProxy, error) {
	p := &FrontProxy{cluster: c}
	return p, p.refresh(ctx)
}

// Get returns what was true last.
func (p *FrontProxy) Get() metrics.Proxy { return *p.current.Load() }

// Run asks again every minute, until ctx ends. While nobody answers what is known stays.
func (p *FrontProxy) Run(ctx context.Context) {
	troubled := false
	for wait(ctx, proxyEvery) {
		err := p.refresh(ctx)
		if err != nil && !troubled && ctx.Err() == nil {
			p.cluster.log.WarnContext(ctx, "the API server does not say how it shows itself: what it said last counts", "err", err)
		}
		troubled = err != nil
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
