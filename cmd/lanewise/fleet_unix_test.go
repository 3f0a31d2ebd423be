//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
	"github.com/lanewise/lanewise/config"
	"github.com/lanewise/lanewise/httpapi"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
	"github.com/lanewise/lanewise/shardmap"
)

// fleet is processes of "lanewise serve" that share a map in a real etcd, over replicas in this process.
type fleet struct {
	t       *testing.T
	dir     string
	address string // of etcd
	etcd    *clientv3.Client
	from    int64                   // revision that the test begins with
	stores  map[string]*local.Store // by shard and number: s0-0
}

func newFleet(t *testing.T, shards ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: t.TempDir(), address: os.Getenv("LANEWISE_TEST_ETCD"), stores: map[string]*local.Store{}}
	if f.address == "" {
		t.Skip("LANEWISE_TEST_ETCD is not set: start one with scripts/servers/etcd up")
	}
	var err error
	if f.etcd, err = clientv3.New(clientv3.Config{Endpoints: []string{f.address}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.etcd.Close() })
	now, err := f.etcd.Get(t.Context(), "now")
	if err != nil {
		t.Fatal(err)
	}
	f.from = now.Header.Revision
	for _, shard := range shards {
		for i := range 2 {
			name := fmt.Sprint(shard, "-", i)
			store, err := local.Open(local.Config{Path: filepath.Join(f.dir, name)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = store.Close() })
			f.stores[name] = store
		}
	}
	return f
}

// prefix is of this test's keys in etcd.
func (f *fleet) prefix() string { return strings.ReplaceAll(f.dir, "/", "") }

// config writes the configuration of a router, which reaches etcd and the replicas on roads of its own.
func (f *fleet) config(name, etcd string, shards ...string) (file string, gates map[string]*gate) {
	f.t.Helper()
	gates = map[string]*gate{}
	text := fmt.Sprintf("listen: 127.0.0.1:0\nmap: etcd://%s/%s\nshared_map: {name: %s, lease: 2s}\nlog: {level: error}\nshards:\n", etcd, f.prefix(), name)
	for _, shard := range shards {
		text += fmt.Sprintf("  - name: %s\n    replicas:\n", shard)
		for i := range 2 {
			gates[fmt.Sprint(shard, "-", i)] = f.gate(f.stores[fmt.Sprint(shard, "-", i)])
			text += fmt.Sprintf("      - {name: r%d, url: '%s'}\n", i, gates[fmt.Sprint(shard, "-", i)].url)
		}
	}
	file = filepath.Join(f.dir, name+".yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return file, gates
}

// found stores the first map, of some shards, with a collection.
func (f *fleet) found(shards ...string) {
	f.t.Helper()
	file, _ := f.config("founder", f.address, shards...)
	cfg, err := config.Load(file)
	if err != nil {
		f.t.Fatal(err)
	}
	sys, err := cfg.Build(f.t.Context(), config.Options{})
	if err != nil {
		f.t.Fatal(err)
	}
	err = insist(func() error {
		_, err := sys.Router.CreateCollection(f.t.Context(), search.Collection{Name: "docs", Dims: 1, Metric: search.Dot})
		return err
	})
	if err := errors.Join(err, sys.Close()); err != nil {
		f.t.Fatal(err)
	}
}

// process is one router.
type process struct {
	*client.Client

	t     *testing.T
	name  string
	cmd   *exec.Cmd
	file  string
	gates map[string]*gate // to its replicas
	ready func()           // waits until it serves
}

// launch starts a router and does not wait for it.
func (f *fleet) launch(name, etcd string, shards ...string) *process {
	f.t.Helper()
	p := &process{t: f.t, name: name}
	p.file, p.gates = f.config(name, etcd, shards...)
	cmd, out := program(f.t, "serve", "-c", p.file)
	p.cmd = cmd
	f.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p.ready = func() {
		f.t.Helper()
		url := address(f.t, out)
		transport := &http.Transport{}
		f.t.Cleanup(transport.CloseIdleConnections)
		var err error
		if p.Client, err = client.New(client.Config{URL: url, Transport: transport}); err != nil {
			f.t.Fatal(err)
		}
	}
	return p
}

// start starts a router.
func (f *fleet) start(name string, shards ...string) *process {
	f.t.Helper()
	p := f.launch(name, f.address, shards...)
	p.ready()
	return p
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// gate is a router's road to a replica, on which a write of points can be held up.
type gate struct {
	t       *testing.T
	url     string
	replica http.Handler
	next    atomic.Pointer[held] // nil: nothing is held
}

// held is a write of points on its way to a replica.
type held struct {
	arrived chan struct{} // at the gate
	ended   chan int      // with this status
	open    chan struct{}
	release func() // lets it go on
}

func (f *fleet) gate(store *local.Store) *gate {
	f.t.Helper()
	replica, err := httpapi.New(httpapi.Config{Store: store})
	if err != nil {
		f.t.Fatal(err)
	}
	g := &gate{t: f.t, replica: replica}
	server := httptest.NewServer(g)
	f.t.Cleanup(server.Close)
	g.url = server.URL
	return g
}

// hold holds the next write of points.
func (g *gate) hold() *held {
	h := &held{arrived: make(chan struct{}), ended: make(chan int, 1), open: make(chan struct{})}
	h.release = sync.OnceFunc(func() { close(h.open) })
	g.t.Cleanup(h.release)
	g.next.Store(h)
	return h
}

// ServeHTTP brings a request to the replica: one that was held also when who sent it is gone.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var h *held
	if r.URL.Path == wire.ReplicaPath+"write" && bytes.Contains(body, []byte(`"upserts":[{`)) {
		h = g.next.Swap(nil)
	}
	if h == nil {
		g.replica.ServeHTTP(w, r)
		return
	}
	close(h.arrived)
	<-h.open
	answer := httptest.NewRecorder()
	g.replica.ServeHTTP(answer, r.WithContext(context.WithoutCancel(r.Context())))
	h.ended <- answer.Code
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// cable is a TCP connection to etcd that can stop carrying anything, in both directions, without an end.
type cable struct {
	address string
	flow    sync.RWMutex // held by who has cut it
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's listener
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{address: l.Addr().String()}
	var copies sync.WaitGroup
	var open []io.Closer // only the accepting goroutine adds to it
	copies.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			onward, err := net.Dial("tcp", to) //nolint:noctx // a test's connection
			if err != nil {
				_ = from.Close()
				continue
			}
			open = append(open, from, onward)
			copies.Go(func() { c.carry(onward, from) })
			copies.Go(func() { c.carry(from, onward) })
		}
	})
	t.Cleanup(func() { // the router has ended
		_ = l.Close()
		copies.Wait()
	})
	return c
}

// carry copies until one side ends, and then ends both.
func (c *cable) carry(to, from net.Conn) {
	defer to.Close()   //nolint:errcheck // a test's connection
	defer from.Close() //nolint:errcheck // a test's connection
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		c.flow.RLock()
		_, failed := to.Write(buf[:n])
		c.flow.RUnlock()
		if err != nil || failed != nil {
			return
		}
	}
}

// entry is a change of what routers share, as the store has it.
type entry struct {
	revision int64
	key      string // below the prefix
	value    []byte // nil: removed
}

// history is every change so far, in the one order that etcd gives them.
func (f *fleet) history() (all []entry) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	defer cancel()
	mark, err := f.etcd.Put(ctx, f.prefix()+"/mark", "") // the end of what is read
	if err != nil {
		f.t.Fatal(err)
	}
	for r := range f.etcd.Watch(ctx, f.prefix()+"/", clientv3.WithPrefix(), clientv3.WithRev(f.from)) {
		if r.Err() != nil {
			f.t.Fatal(r.Err())
		}
		for _, e := range r.Events {
			if e.Kv.ModRevision >= mark.Header.Revision {
				return all
			}
			all = append(all, entry{e.Kv.ModRevision, strings.TrimPrefix(string(e.Kv.Key), f.prefix()+"/"), e.Kv.Value})
		}
	}
	f.t.Fatal("the history ends")
	return nil
}

// audit wants every router that had a lease when the shards changed, but for the one that changed them, to be at work with the
// epoch that the move began with, or not to write (epoch 0). It returns how often they changed.
func (f *fleet) audit() (flips int) {
	f.t.Helper()
	live := map[string]uint64{} // epochs of the routers
	var before *shardmap.Map
	for _, e := range f.history() {
		name, isRouter := strings.CutPrefix(e.key, "routers/")
		switch {
		case isRouter && len(e.value) == 0:
			delete(live, name)
		case isRouter:
			var peer struct{ Epoch uint64 }
			f.read(e.value, &peer)
			live[name] = peer.Epoch
		case e.key == "map":
			var charter struct {
				Map   string
				Claim *struct{ By string }
			}
			f.read(e.value, &charter)
			now, err := shardmap.Decode([]byte(charter.Map))
			if err != nil {
				f.t.Fatal(err)
			}
			if before != nil && len(before.Shards()) != len(now.Shards()) {
				flips++
				for name, epoch := range live {
					if epoch != 0 && epoch < before.Epoch() && name != charter.Claim.By {
						f.t.Errorf("revision %d: %s made epoch %d of %d while %s was at work with epoch %d", e.revision, charter.Claim.By, now.Epoch(), before.Epoch(), name, epoch)
					}
				}
			}
			before = now
		}
	}
	return flips
}

func (f *fleet) read(data []byte, into any) {
	f.t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		f.t.Fatal(err)
	}
}
