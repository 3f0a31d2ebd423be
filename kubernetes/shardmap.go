package kubernetes

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/watch"
	apply "k8s.io/client-go/applyconfigurations/coordination/v1"

	"github.com/lanewise/lanewise/fault"
)

// Map is a shard map that several routers share: a ConfigMap, replaced by compare and
// swap on its resource version, and a Lease for each router. It is a router.MapStore.
//
// Clocks need not agree. As client-go's leader election does it, a lease counts from when this
// program has first seen it renewed, on its own clock; one that it has never seen renewed and whose
// holder's clock put its end more than an hour ago is dead. A ConfigMap holds 1 MiB.
type Map struct {
	cluster         *Cluster
	namespace, name string
	ttl             time.Duration

	mu   sync.Mutex
	seen map[string]sighting // leases, by name
}

// sighting is when a lease was first seen as it is.
type sighting struct {
	version string
	at      time.Time
}

// What the objects carry.
const (
	mapKey       = "map"
	mapLabel     = "lanewise.io/map"
	routerNote   = "lanewise.io/router"
	entryNote    = "lanewise.io/entry"
	defaultTTL   = 10 * time.Second
	tooLong      = time.Hour
	nameOfRouter = 12 // bytes of a digest in a lease's name
)

// Map returns the shard map in a ConfigMap; namespace empty: the cluster's. A router
// counts as alive for a time to live (0: 10 s) after its last sign of life.
func (c *Cluster) Map(namespace, name string, ttl time.Duration) *Map {
	return &Map{cluster: c, namespace: cmp.Or(namespace, c.namespace), name: name, ttl: cmp.Or(ttl, defaultTTL), seen: map[string]sighting{}}
}

// MapName reads NAMESPACE/NAME or /NAME, which stands for the cluster's namespace, as the
// names that a shard map may have: Leases carry them too. Its error is fault.Invalid.
func MapName(text string) (namespace, name string, err error) {
	namespace, name, ok := strings.Cut(text, "/")
	if !ok {
		return "", "", fault.New(fault.Invalid, "there is no / between the namespace and the name of the ConfigMap")
	}
	var wrong []string
	if namespace != "" {
		wrong = validation.IsDNS1123Label(namespace)
	}
	if len(wrong) > 0 {
		return "", "", fault.New(fault.Invalid, "%q is no namespace: %s", namespace, wrong[0])
	}
	if wrong = append(validation.IsDNS1123Subdomain(name), validation.IsValidLabelValue(name)...); len(wrong) > 0 {
		return "", "", fault.New(fault.Invalid, "%q is no name of a ConfigMap: %s", name, wrong[0])
	}
	return namespace, name, nil
}

// Load implements router.MapStore.
func (m *Map) Load(ctx context.Context) (data []byte, revision string, err error) {
	found, err := m.cluster.core.ConfigMaps(m.namespace).Get(ctx, m.name, metav1.GetOptions{})
	if err != nil {
		return nil, "", classify("read the shard map "+within(m.namespace, m.name), err)
	}
	data, ok := found.BinaryData[mapKey]
	if !ok {
		return nil, "", fault.New(fault.Conflict, "the ConfigMap %s is no shard map: it has no binaryData.%s", within(m.namespace, m.name), mapKey)
	}
	return data, found.ResourceVersion, nil
}

// Save implements router.MapStore.
func (m *Map) Save(ctx context.Context, data []byte, revision string) (next string, err error) {
	object := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: m.name, Namespace: m.namespace, ResourceVersion: revision, Labels: map[string]string{mapLabel: m.name}},
		BinaryData: map[string][]byte{mapKey: data},
	}
	api := m.cluster.core.ConfigMaps(m.namespace)
	var saved *corev1.ConfigMap
	if revision == "" {
		saved, err = api.Create(ctx, object, metav1.CreateOptions{})
	} else {
		saved, err = api.Update(ctx, object, metav1.UpdateOptions{})
	}
	if err = lost(revision, err); err != nil {
		return "", classify("write the shard map "+within(m.namespace, m.name), err)
	}
	return saved.ResourceVersion, nil
}

// lost turns the error about a map that is gone into that of one that has changed.
func lost(revision string, err error) error {
	if revision != "" && apierrors.IsNotFound(err) {
		return fault.Wrap(fault.Conflict, "somebody has deleted it", err)
	}
	return err
}

// Watch implements router.MapStore. It breaks every two minutes at least.
func (m *Map) Watch(ctx context.Context, changed func()) error {
	doing := "watch the shard map " + within(m.namespace, m.name)
	only := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", m.name).String()}
	w, err := m.cluster.core.ConfigMaps(m.namespace).Watch(ctx, lasting(only))
	if err != nil {
		return classify(doing, err)
	}
	if err = oversee(ctx, w, changed, func(watch.Event) { changed() }); err == nil {
		err = fault.New(fault.Unavailable, "it has ended after %s", watchFor)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// Renew implements router.MapStore.
func (m *Map) Renew(ctx context.Context, name string, entry []byte) (time.Duration, error) {
	lease := m.lease(name, entry)
	_, err := m.cluster.coordination.Leases(m.namespace).Apply(ctx, lease, metav1.ApplyOptions{FieldManager: "lanewise", Force: true})
	if err != nil {
		return 0, classify("renew the lease "+within(m.namespace, *lease.Name), err)
	}
	return m.ttl, nil
}

func (m *Map) lease(router string, entry []byte) *apply.LeaseApplyConfiguration {
	return apply.Lease(m.leaseName(router), m.namespace).
		WithLabels(map[string]string{mapLabel: m.name}).
		WithAnnotations(map[string]string{routerNote: router, entryNote: hex.EncodeToString(entry)}).
		WithSpec(apply.LeaseSpec().WithHolderIdentity(router).WithRenewTime(metav1.NowMicro()).WithLeaseDurationSeconds(int32(m.ttl.Seconds())))
}

// leaseName is a name that an object may have, whatever the router's is.
func (m *Map) leaseName(router string) string {
	sum := sha256.Sum256([]byte(router))
	return m.name + "-" + hex.EncodeToString(sum[:nameOfRouter])
}

// Leases implements router.MapStore.
func (m *Map) Leases(ctx context.Context) (map[string][]byte, error) {
	api := m.cluster.coordination.Leases(m.namespace)
	list, err := api.List(ctx, metav1.ListOptions{LabelSelector: labels.Set{mapLabel: m.name}.String()})
	if err != nil {
		return nil, classify("list the leases of the shard map "+within(m.namespace, m.name), err)
	}
	out := map[string][]byte{}
	for i := range list.Items {
		l := &list.Items[i]
		if !m.alive(l) {
			m.bury(ctx, l)
			continue
		}
		entry, err := hex.DecodeString(l.Annotations[entryNote])
		if err != nil {
			return nil, fault.Wrap(fault.Conflict, "lease "+within(m.namespace, l.Name), err)
		}
		out[l.Annotations[routerNote]] = entry
	}
	m.forget(list.Items)
	return out, nil
}

// alive reports whether a lease has not ended.
func (m *Map) alive(l *coordinationv1.Lease) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	last, known := m.seen[l.Name]
	if !known && longDead(l) {
		return false
	}
	if last.version != l.ResourceVersion {
		last = sighting{version: l.ResourceVersion, at: now}
		m.seen[l.Name] = last
	}
	return now.Sub(last.at) < m.ttl
}

// bury deletes the lease of a router that has been dead for long, unless it has come
// back. One that stays does no harm.
func (m *Map) bury(ctx context.Context, l *coordinationv1.Lease) {
	if !longDead(l) {
		return
	}
	err := m.cluster.coordination.Leases(m.namespace).Delete(ctx, l.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &l.ResourceVersion}})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		m.cluster.log.WarnContext(ctx, "the lease of a dead router stays", "lease", l.Name, "err", err)
	}
}

// longDead reports whether a lease was renewed more than an hour ago by its holder's
// clock, which may be wrong by less than that.
func longDead(l *coordinationv1.Lease) bool {
	return l.Spec.RenewTime != nil && time.Since(l.Spec.RenewTime.Time) > tooLong
}

// forget drops what is known of leases that are gone.
func (m *Map) forget(there []coordinationv1.Lease) {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make(map[string]bool, len(there))
	for i := range there {
		names[there[i].Name] = true
	}
	maps.DeleteFunc(m.seen, func(name string, _ sighting) bool { return !names[name] })
}

// Release implements router.MapStore.
func (m *Map) Release(ctx context.Context, name string) error {
	lease := m.leaseName(name)
	err := m.cluster.coordination.Leases(m.namespace).Delete(ctx, lease, metav1.DeleteOptions{})
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return classify("release the lease "+within(m.namespace, lease), err)
}
