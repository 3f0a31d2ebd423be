package quota

import (
	"cmp"
	"container/list"
	"errors"
	"fmt"
	"sync"

	"github.com/lanewise/lanewise/fault"
)

// TenantsConfig says what tenants may use. Zero values mean the defaults.
type TenantsConfig struct {
	Limit Limit            // of each tenant that has none of its own; the zero Limit: no limit
	Own   map[string]Limit // of single tenants, instead
	Most  int              // tenants that are remembered at one time; default 100,000
}

// Tenants keeps a bucket for every tenant that has been seen, within bounded
// memory: a bucket that is full again says nothing that a new one would not, so
// these are forgotten first, the one that was used longest ago before the others.
// Safe for concurrent use.
type Tenants struct {
	config TenantsConfig
	mu     sync.Mutex
	known  map[string]*list.Element // of *tenant
	order  list.List                // the one used last in front
}

// tenant is a bucket and whose it is.
type tenant struct {
	name   string
	bucket *Bucket
}

const defaultTenants = 100_000

// NewTenants returns the buckets of tenants that have used nothing yet. Its error
// is fault.Invalid and names every field that is wrong.
func NewTenants(c TenantsConfig) (*Tenants, error) {
	c.Most = cmp.Or(c.Most, defaultTenants)
	var errs []error
	if c.Most < 0 {
		errs = append(errs, fault.New(fault.Invalid, "most: must be at least 1, is %d", c.Most))
	}
	if c.Limit != (Limit{}) {
		c.Limit = c.Limit.withDefaults()
		errs = append(errs, c.Limit.validate())
	}
	own := make(map[string]Limit, len(c.Own))
	for name, l := range c.Own {
		own[name] = l.withDefaults()
		if err := own[name].validate(); err != nil {
			errs = append(errs, fmt.Errorf("own[%q]: %w", name, err))
		}
	}
	c.Own = own
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Tenants{config: c, known: map[string]*list.Element{}}, nil
}

// Reserve is [Bucket.Reserve] of a tenant's bucket. For a tenant without a limit
// it returns nil, which may be settled and cancelled like any other.
func (t *Tenants) Reserve(name string, tokens int64) (*Reservation, error) {
	b := t.bucket(name)
	if b == nil {
		return nil, nil //nolint:nilnil // documented
	}
	r, err := b.Reserve(tokens)
	if err != nil {
		return nil, fmt.Errorf("tenant %q: %w", name, err)
	}
	return r, nil
}

// Left is [Bucket.Left] of a tenant's bucket, with infinite figures for a tenant
// without a limit.
func (t *Tenants) Left(name string) Amount {
	if b := t.bucket(name); b != nil {
		return b.Left()
	}
	return unlimited()
}

// Len returns how many tenants are remembered.
func (t *Tenants) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.known)
}

// bucket returns the bucket of a tenant, or nil where it has no limit.
func (t *Tenants) bucket(name string) *Bucket {
	limit, own := t.config.Own[name]
	if !own {
		limit = t.config.Limit
	}
	if limit == (Limit{}) {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.known[name]; e != nil {
		t.order.MoveToFront(e)
		return e.Value.(*tenant).bucket //nolint:forcetypeassert // nothing else is in the list
	}
	for len(t.known) >= t.config.Most {
		t.forget()
	}
	b := filled(limit)
	t.known[name] = t.order.PushFront(&tenant{name, b})
	return b
}

// looks is how many of the buckets used longest ago are looked at for a full one.
const looks = 8

// forget drops a bucket. The caller holds mu.
func (t *Tenants) forget() {
	victim := t.order.Back()
	for e, i := victim, 0; e != nil && i < looks; e, i = e.Prev(), i+1 {
		if e.Value.(*tenant).bucket.full() { //nolint:forcetypeassert // nothing else is in the list
			victim = e
			break
		}
	}
	delete(t.known, t.order.Remove(victim).(*tenant).name) //nolint:forcetypeassert // nothing else is in the list
}
