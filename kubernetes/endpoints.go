package kubernetes

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	slicesv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/lanewise/lanewise/discovery"
	"github.com/lanewise/lanewise/fault"
)

// Endpoints is a source of the members behind a service, by its EndpointSlices.
//
// An endpoint is named by its pod, or else by its address. One that is in several slices
// counts once, and of the addresses of one pod the first counts; of two that
// differ, that which takes calls. The labels of a slice below
// lanewise.io/ are the member's labels: lanewise.io/model is model; the host name of
// a StatefulSet's pod is the label replica.
type Endpoints struct {
	Namespace string // empty: the cluster's
	Service   string
	// Port is the name of the port, or its number, which an endpoint may have without
	// telling it. Empty: the only one.
	Port string
	// Zone is that of whoever calls: members of another are a tier further. Empty: all are
	// alike.
	Zone string
	// Zero says that the service may be scaled to zero: an answer without anybody is one.
	Zero bool

	cluster *Cluster
}

var (
	_ discovery.Source = Endpoints{}
	_ discovery.Vacant = Endpoints{}
)

// MayBeEmpty implements discovery.Vacant.
func (e Endpoints) MayBeEmpty() bool { return e.Zero }

// Endpoints returns a source of members.
func (c *Cluster) Endpoints(namespace, service, port string) Endpoints {
	return Endpoints{Namespace: cmp.Or(namespace, c.namespace), Service: service, Port: port, cluster: c}
}

// settle is how long a change waits for those that come with it.
const settle = 50 * time.Millisecond

// Watch implements discovery.Source. What it tells is what an informer holds: after a
// watch that was cut, that carries nothing any more or has fallen too far behind, everything is listed again.
func (e Endpoints) Watch(ctx context.Context, tell func([]discovery.Member, error)) {
	ctx = klog.NewContext(ctx, logr.Discard()) // what matters is told
	f := &feed{news: make(chan struct{}, 1)}
	informer := cache.NewSharedInformer(e.listWatch(f), &slicesv1.EndpointSlice{}, 0)
	quiet := func(context.Context, *cache.Reflector, error) {} // the feed has heard of it
	if err := informer.SetWatchErrorHandlerWithContext(quiet); err != nil {
		tell(nil, err) // it cannot run already
		return
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { f.change() }, UpdateFunc: func(any, any) { f.change() }, DeleteFunc: func(any) { f.change() },
	}
	if _, err := informer.AddEventHandler(handler); err != nil {
		tell(nil, err)
		return
	}
	ended := make(chan struct{})
	go func() { informer.RunWithContext(ctx); close(ended) }()
	for e.next(ctx, f, informer, tell) {
	}
	<-ended
	f.watches.Wait()
}

// next tells what has changed, and then what is wrong, if anything is.
func (e Endpoints) next(ctx context.Context, f *feed, informer cache.SharedInformer, tell func([]discovery.Member, error)) bool {
	select {
	case <-ctx.Done():
		return false
	case <-f.news:
	}
	if !wait(ctx, settle) {
		return false
	}
	changed, trouble := f.take()
	switch {
	case changed && informer.HasSynced():
		tell(e.members(informer.GetStore().List()))
	case changed:
		f.change() // the rest of the first list is on its way
	}
	if trouble != nil {
		tell(nil, trouble)
	}
	return true
}

func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// feed is what an informer's goroutines say.
type feed struct {
	news    chan struct{}
	watches sync.WaitGroup

	mu      sync.Mutex
	changed bool
	trouble error // nil: there is none, or none any more
}

func (f *feed) take() (changed bool, trouble error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed, f.changed = f.changed, false
	return changed, f.trouble
}

func (f *feed) say(what func()) {
	f.mu.Lock()
	what()
	f.mu.Unlock()
	select {
	case f.news <- struct{}{}:
	default:
	}
}

func (f *feed) change()        { f.say(func() { f.changed = true }) }
func (f *feed) fail(err error) { f.say(func() { f.trouble = err }) }

// heal says that what was wrong is not any more.
func (f *feed) heal() { f.say(func() { f.changed, f.trouble = true, nil }) }

// listWatch asks for the service's slices.
func (e Endpoints) listWatch(f *feed) cache.ListerWatcher {
	of := labels.Set{slicesv1.LabelServiceName: e.Service}.String()
	api := e.cluster.endpoints.EndpointSlices(e.Namespace)
	doing := "the EndpointSlices of service " + within(e.Namespace, e.Service)
	return listFirst{&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = of
			list, err := api.List(ctx, o)
			if err != nil && ctx.Err() == nil {
				f.fail(classify("list "+doing, err))
			}
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = of
			w, err := api.Watch(ctx, lasting(o))
			switch {
			case err == nil:
				return f.over(ctx, w, "watch "+doing), nil
			case ctx.Err() == nil:
				f.fail(classify("watch "+doing, err))
			}
			return nil, err
		},
	}}
}

// listFirst has an informer list and then watch. Lists within a watch are refused by servers before an older etcd, some
// of them in the middle of it, and what is overseen here is small.
type listFirst struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported says so to client-go.
func (listFirst) IsWatchListSemanticsUnSupported() bool { return true }

// over oversees a watch. One that stands shows that what was wrong is not any more.
func (f *feed) over(ctx context.Context, w watch.Interface, doing string) watch.Interface {
	ctx, stop := context.WithCancel(ctx)
	r := &relay{out: make(chan watch.Event), stop: stop}
	f.watches.Go(func() {
		r.run(ctx, w, f.heal, func(err error) { f.fail(fmt.Errorf("%s: %w", doing, err)) })
	})
	return r
}

// members are the endpoints of all slices. Its error says that there are endpoints, and
// none with the port.
func (e Endpoints) members(list []any) ([]discovery.Member, error) {
	byName := map[string]discovery.Member{}
	portless := 0
	all := make([]*slicesv1.EndpointSlice, 0, len(list))
	for _, o := range list {
		if s, ok := o.(*slicesv1.EndpointSlice); ok {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b *slicesv1.EndpointSlice) int { return strings.Compare(a.Name, b.Name) })
	for _, s := range all {
		port, ok := e.port(s.Ports)
		if !ok {
			portless += len(s.Endpoints)
			continue
		}
		shared := labelsOf(s)
		for i := range s.Endpoints {
			if m, ok := member(&s.Endpoints[i], port, shared); ok {
				if e.Zone != "" && m.Zone != "" && m.Zone != e.Zone {
					m.Tier = 1
				}
				keep(byName, m)
			}
		}
	}
	if len(byName) == 0 && portless > 0 {
		return nil, fault.New(fault.Invalid, "service %s: %d endpoints, and none has the port %q", within(e.Namespace, e.Service), portless, e.Port)
	}
	return sorted(byName), nil
}

func sorted(byName map[string]discovery.Member) []discovery.Member {
	out := make([]discovery.Member, 0, len(byName))
	for _, m := range byName {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b discovery.Member) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// keep enters a member, unless a better one of its name is there: slices change one
// after the other, and an endpoint that moves is in two for a while.
func keep(byName map[string]discovery.Member, m discovery.Member) {
	before, ok := byName[m.Name]
	if !ok || rank(m.State) < rank(before.State) {
		byName[m.Name] = m
	}
}

func rank(s discovery.State) int {
	return slices.Index([]discovery.State{discovery.Ready, discovery.Serving, discovery.Terminating}, s)
}

// port finds the wanted one among a slice's.
func (e Endpoints) port(ports []slicesv1.EndpointPort) (port int32, ok bool) {
	number, err := strconv.ParseUint(e.Port, 10, 16)
	if err == nil {
		return int32(number), true //nolint:gosec // 16 bits
	}
	for _, p := range ports {
		if p.Port == nil {
			continue
		}
		if e.Port == "" && len(ports) == 1 || e.Port != "" && p.Name != nil && *p.Name == e.Port {
			return *p.Port, true
		}
	}
	return 0, false
}

// labelPrefix is that of labels which tell lanewise something.
const labelPrefix = "lanewise.io/"

func labelsOf(s *slicesv1.EndpointSlice) map[string]string {
	out := map[string]string{}
	for key, value := range s.Labels {
		if own, ok := strings.CutPrefix(key, labelPrefix); ok {
			out[own] = value
		}
	}
	return out
}

// member is an endpoint as a member; ok is false where it takes no calls and is not
// going away either: it has not come up yet.
func member(ep *slicesv1.Endpoint, port int32, shared map[string]string) (m discovery.Member, ok bool) {
	if len(ep.Addresses) == 0 {
		return m, false
	}
	state, ok := stateOf(ep.Conditions)
	if !ok {
		return m, false
	}
	m = discovery.Member{Address: net.JoinHostPort(ep.Addresses[0], fmt.Sprint(port)), State: state, Labels: map[string]string{}}
	m.Name = m.Address
	if ep.TargetRef != nil && ep.TargetRef.Name != "" {
		m.Name = ep.TargetRef.Name
	}
	if ep.Zone != nil {
		m.Zone = *ep.Zone
	}
	maps.Copy(m.Labels, shared)
	if ep.Hostname != nil && *ep.Hostname != "" {
		m.Labels["replica"] = *ep.Hostname
	}
	return m, true
}

// stateOf reads the conditions. One that is not told is what the API says that it stands
// for: ready, serving as ready, not terminating.
func stateOf(c slicesv1.EndpointConditions) (discovery.State, bool) {
	is := func(b *bool, unset bool) bool {
		if b == nil {
			return unset
		}
		return *b
	}
	ready := is(c.Ready, true)
	serving := is(c.Serving, ready)
	switch terminating := is(c.Terminating, false); {
	case terminating && serving:
		return discovery.Serving, true
	case terminating:
		return discovery.Terminating, true
	}
	return discovery.Ready, ready
}
