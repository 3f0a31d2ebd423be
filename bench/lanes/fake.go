package lanes

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// sigma is the standard deviation of the logarithm of service times.
const sigma = 0.5

// fakes are the replicas of a run.
type fakes struct {
	all    []*fake
	plaza  Plaza
	client *http.Client
}

func (p Plaza) open(ctx context.Context) (*fakes, error) {
	f := &fakes{plaza: p, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}}
	for i := range p.Shards {
		for j := range p.Replicas {
			r := &fake{name: label(i, j), plaza: p, seats: make(chan struct{}, p.Slots), rng: rand.New(rand.NewPCG(p.Seed, uint64(i*p.Replicas+j)))}
			r.healed = closed()
			if err := r.listen(ctx, "127.0.0.1:0"); err != nil {
				return nil, errors.Join(err, f.Close())
			}
			f.all = append(f.all, r)
		}
	}
	return f, nil
}

// Close ends the replicas and waits for their calls.
func (f *fakes) Close() error {
	f.client.CloseIdleConnections()
	for _, r := range f.all {
		r.heal() // whoever stalls shall end
		r.stop()
	}
	return nil
}

func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// fake is a replica: an HTTP server that takes its time.
type fake struct {
	name  string
	plaza Plaza
	seats chan struct{}

	mu      sync.Mutex
	server  *http.Server
	ended   chan struct{} // when the server has
	address string
	event   Event
	healed  chan struct{} // open while it stalls or is partitioned
	rng     *rand.Rand
}

func (r *fake) listen(ctx context.Context, address string) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("a fake replica: %w", err)
	}
	s := &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	ended := make(chan struct{})
	r.mu.Lock()
	r.server, r.ended, r.address = s, ended, l.Addr().String()
	r.mu.Unlock()
	go func() {
		defer close(ended)
		_ = s.Serve(l) // until it is closed
	}()
	return nil
}

// stop closes the port and the connections.
func (r *fake) stop() {
	r.mu.Lock()
	s, ended := r.server, r.ended
	r.server = nil
	r.mu.Unlock()
	if s != nil {
		_ = s.Close()
		<-ended
	}
}

// set makes an event happen.
func (r *fake) set(ctx context.Context, e Event) {
	r.heal()
	r.mu.Lock()
	r.event = e
	down, address := r.server == nil, r.address
	if e.Do == Stall || e.Do == Partition {
		r.healed = make(chan struct{})
	}
	r.mu.Unlock()
	switch {
	case e.Do == Kill:
		r.stop()
	case down:
		_ = r.listen(ctx, address) // the port was its own until now
	}
}

// heal lets the calls go on that an event holds.
func (r *fake) heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.healed:
	default:
		close(r.healed)
	}
	r.event = Event{Do: Heal}
}

// draw returns what is to become of a call.
func (r *fake) draw() (e Event, took time.Duration, healed chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	mean := float64(r.plaza.Service)
	if r.event.Do == Slow {
		factor := r.event.Factor
		if factor == 0 {
			factor = 10
		}
		mean *= factor
	}
	return r.event, time.Duration(mean * math.Exp(sigma*r.rng.NormFloat64()-sigma*sigma/2)), r.healed
}

// ServeHTTP works on a call when a seat is free.
func (r *fake) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	e, took, healed := r.draw()
	switch e.Do { //nolint:exhaustive // the others take part in what follows
	case Error:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case Busy:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case Partition: // the answer, if there will be one, is lost
		<-healed
		panic(http.ErrAbortHandler)
	}
	left := q.Context()
	if r.plaza.Ignore {
		left = context.WithoutCancel(left)
	}
	if !wait(left, healed) {
		return
	}
	select {
	case r.seats <- struct{}{}:
		defer func() { <-r.seats }()
	case <-left.Done():
		return
	}
	select {
	case <-time.After(took):
	case <-left.Done():
	}
}

func wait(ctx context.Context, c chan struct{}) bool {
	select {
	case <-c:
		return true
	case <-ctx.Done():
		return false
	}
}

// store is a replica as the router sees it.
type store struct {
	search.Store
	fakes *fakes
	at    *fake
}

func (f *fakes) store(shard, replica int) store {
	return store{fakes: f, at: f.all[shard*f.plaza.Replicas+replica]}
}

// Search asks the replica over its socket.
func (s store) Search(ctx context.Context, q search.Query) (search.Result, error) {
	s.at.mu.Lock()
	url := "http://" + s.at.address
	s.at.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return search.Result{}, err
	}
	resp, err := s.fakes.client.Do(req)
	switch {
	case ctx.Err() != nil:
		return search.Result{}, ctx.Err()
	case err != nil:
		return search.Result{}, fault.Wrap(fault.Unavailable, s.at.name, err)
	}
	_ = resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		lists := make([]search.List, len(q.Legs))
		for i := range lists {
			lists[i].Exhausted, lists[i].Prefix = true, true
		}
		return search.Result{Lists: lists}, nil
	case http.StatusTooManyRequests:
		after, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return search.Result{}, fault.Busy(time.Duration(after)*time.Second, "%s is busy", s.at.name)
	default:
		return search.Result{}, fault.New(fault.Unavailable, "%s answers %s", s.at.name, resp.Status)
	}
}

// Write takes everything.
func (store) Write(context.Context, search.Batch) (search.Written, error) {
	return search.Written{}, nil
}

// Stats says that it has the collection.
func (store) Stats(_ context.Context, collection string) ([]search.Stats, error) {
	if collection == "" {
		return nil, nil
	}
	return []search.Stats{{Collection: search.Collection{Name: collection, Dims: 1}}}, nil
}
