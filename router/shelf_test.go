package router_test

import (
	"context"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
)

// shelf is a map store in memory. Each router has a door to it.
type shelf struct {
	ttl time.Duration

	mu       sync.Mutex
	data     []byte
	revision int
	leases   map[string]leased
	changed  chan struct{} // closed at the next change
}

type leased struct {
	entry []byte
	until time.Time
}

func newShelf() *shelf {
	return &shelf{ttl: 10 * time.Second, leases: map[string]leased{}, changed: make(chan struct{})}
}

// door is a router's way to the shelf, which can be cut.
type door struct {
	*shelf
	cut atomic.Bool
}

func (s *shelf) door() *door { return &door{shelf: s} }

var _ router.MapStore = (*door)(nil)

// pass hangs like a question to a server behind a broken line.
func (d *door) pass(ctx context.Context) error {
	if d.cut.Load() {
		<-ctx.Done()
		return fault.Wrap(fault.Unavailable, "ask the shelf", ctx.Err())
	}
	d.mu.Lock()
	return nil
}

func (d *door) Load(ctx context.Context) (data []byte, revision string, err error) {
	if err := d.pass(ctx); err != nil {
		return nil, "", err
	}
	defer d.mu.Unlock()
	if d.revision == 0 {
		return nil, "", fault.New(fault.NotFound, "the shelf is empty")
	}
	return d.data, strconv.Itoa(d.revision), nil
}

func (d *door) Save(ctx context.Context, data []byte, revision string) (next string, err error) {
	if err := d.pass(ctx); err != nil {
		return "", err
	}
	defer d.mu.Unlock()
	if at, _ := strconv.Atoi(revision); at != d.revision {
		return "", fault.New(fault.Conflict, "at revision %d", d.revision)
	}
	d.data = data
	d.revision++
	close(d.changed)
	d.changed = make(chan struct{})
	return strconv.Itoa(d.revision), nil
}

func (d *door) Watch(ctx context.Context, changed func()) error {
	for {
		d.mu.Lock()
		next := d.changed
		d.mu.Unlock()
		if !d.cut.Load() {
			changed()
		}
		select {
		case <-next:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (d *door) Renew(ctx context.Context, name string, entry []byte) (time.Duration, error) {
	if err := d.pass(ctx); err != nil {
		return 0, err
	}
	defer d.mu.Unlock()
	d.leases[name] = leased{entry, time.Now().Add(d.ttl)}
	return d.ttl, nil
}

func (d *door) Leases(ctx context.Context) (map[string][]byte, error) {
	if err := d.pass(ctx); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	maps.DeleteFunc(d.leases, func(_ string, h leased) bool { return time.Now().After(h.until) })
	all := map[string][]byte{}
	for name, h := range d.leases {
		all[name] = h.entry
	}
	return all, nil
}

func (d *door) Release(ctx context.Context, name string) error {
	if err := d.pass(ctx); err != nil {
		return err
	}
	defer d.mu.Unlock()
	delete(d.leases, name)
	return nil
}
