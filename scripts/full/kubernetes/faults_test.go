package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanewise/lanewise/discovery"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/kubernetes"
	"github.com/lanewise/lanewise/router"
)

var _ router.MapStore = (*kubernetes.Map)(nil)

// kubeconfig writes one with another server's address, or another user.
func (b *testbed) kubeconfig(change ...string) (file string) {
	b.t.Helper()
	text, err := os.ReadFile(b.file)
	if err != nil {
		b.t.Fatal(err)
	}
	file = filepath.Join(b.t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(strings.NewReplacer(change...).Replace(string(text))), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return file
}

// cluster opens the control plane with such a file.
func (b *testbed) cluster(change ...string) *kubernetes.Cluster {
	b.t.Helper()
	c, err := kubernetes.Open(kubernetes.Config{Kubeconfig: b.kubeconfig(change...), Namespace: b.namespace})
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// wire carries connections to the API server, until it is cut: then they are refused.
type wire struct {
	t           *testing.T
	address, to string

	mu       sync.Mutex
	listener net.Listener // nil: it is cut
	open     []net.Conn
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	w := &wire{t: t, to: to, address: "127.0.0.1:0"}
	w.mend()
	t.Cleanup(w.cut)
	return w
}

func (w *wire) mend() {
	l, err := net.Listen("tcp", w.address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listener, w.address = l, l.Addr().String()
	go w.run(l)
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listener != nil {
		_ = w.listener.Close()
	}
	for _, c := range w.open {
		_ = c.Close()
	}
	w.listener, w.open = nil, nil
}

func (w *wire) run(l net.Listener) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", w.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		w.mu.Lock()
		w.open = append(w.open, in, out)
		w.mu.Unlock()
		go carry(in, out)
		go carry(out, in)
	}
}

func carry(from, to net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err == nil {
			_, err = to.Write(buffer[:n])
		}
		if err != nil {
			_ = to.Close()
			return
		}
	}
}

// TestEndpoints_apiServerAway: while the API server is away the last members stay, with
// their age, and what has changed meanwhile is seen when it is back.
func TestEndpoints_apiServerAway(t *testing.T) {
	b := newTestbed(t)
	server := strings.TrimPrefix(b.config.Host, "https://")
	w := newWire(t, server)
	host, err := ownAddress()
	if err != nil {
		t.Fatal(err)
	}
	k := &kubelet{testbed: b, host: host, grace: time.Minute}
	t.Cleanup(k.stop)
	scale := func(n int) {
		k.step(n, time.Now())
		if k.step(n, time.Now()); len(k.due) > 0 {
			t.Fatal("an engine has not started")
		}
		if err := k.publish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	follower := discovery.Follow("chat", b.cluster(server, w.address).Endpoints("", "chat", "http"), nil, func([]discovery.Member) error { return nil })
	defer follower.Close()
	await := func(what string, ok func(discovery.Status) bool) {
		t.Helper()
		for end := time.Now().Add(2 * time.Minute); !ok(follower.Status()); {
			if time.Now().After(end) || !sleep(t.Context(), 50*time.Millisecond) {
				t.Fatalf("not %s: %+v", what, follower.Status())
			}
		}
	}
	names := func(want ...string) func(discovery.Status) bool {
		return func(s discovery.Status) bool {
			var got []string
			for _, m := range s.Members {
				got = append(got, m.Name)
			}
			return s.Trouble == "" && slices.Equal(got, want)
		}
	}
	scale(2)
	await("two members", names("chat-1", "chat-2"))
	w.cut()
	await("trouble", func(s discovery.Status) bool { return s.Trouble != "" && len(s.Members) == 2 })
	scale(3)
	w.mend()
	await("three members", names("chat-1", "chat-2", "chat-3"))
	scale(1)
	await("one member, the others draining", names("chat-1"))
	if err := b.DiscoveryV1().EndpointSlices(b.namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	await("the last members in spite of an empty answer", func(s discovery.Status) bool { return s.Trouble != "" && len(s.Members) > 0 }) // slices are deleted one by one
}

func TestEndpoints_withoutTheRight(t *testing.T) {
	b := newTestbed(t)
	c := b.cluster("current-context: admin", "current-context: nobody")
	follower := discovery.Follow("chat", c.Endpoints("", "chat", "http"), nil, func([]discovery.Member) error { return nil })
	defer follower.Close()
	err := follower.First(t.Context())
	if !errors.Is(err, fault.Refused) || !strings.Contains(err.Error(), "endpointslices") || !strings.Contains(err.Error(), b.namespace) {
		t.Errorf("%v", err)
	}
}

// TestMap_isSharedByCompareAndSwap on the real API server.
func TestMap_isSharedByCompareAndSwap(t *testing.T) {
	b := newTestbed(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	one, two := b.cluster().Map("", "shards", 3*time.Second), b.cluster().Map("", "shards", 3*time.Second)
	if _, _, err := one.Load(ctx); !errors.Is(err, fault.NotFound) {
		t.Fatalf("nothing is stored: %v", err)
	}
	first, err := one.Save(ctx, []byte("1"), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.Save(ctx, []byte("x"), ""); !errors.Is(err, fault.Conflict) {
		t.Errorf("a second first map: %v", err)
	}
	changed := make(chan struct{}, 1)
	watching, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { // a watch may break: then it is watched again, as a router does
		for {
			err := two.Watch(watching, func() {
				select {
				case changed <- struct{}{}:
				default:
				}
			})
			if watching.Err() != nil {
				ended <- err
				return
			}
		}
	}()
	told := func() {
		t.Helper()
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatal("the watch tells nothing")
		}
	}
	told()
	second, err := one.Save(ctx, []byte("2"), first)
	if err != nil {
		t.Fatal(err)
	}
	told()
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v", err)
	}
	if _, err := two.Save(ctx, []byte("x"), first); !errors.Is(err, fault.Conflict) {
		t.Errorf("over a newer map: %v", err)
	}
	if data, revision, err := two.Load(ctx); err != nil || string(data) != "2" || revision != second {
		t.Errorf("%q at %s, %v", data, revision, err)
	}
}

func TestMap_leasesEnd(t *testing.T) {
	b := newTestbed(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	one, two := b.cluster().Map("", "shards", 3*time.Second), b.cluster().Map("", "shards", 3*time.Second)
	for i, name := range []string{"router/α", "b"} {
		if _, err := one.Renew(ctx, name, fmt.Appendf(nil, "entry %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	leases := func() map[string][]byte {
		t.Helper()
		all, err := two.Leases(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if all := leases(); string(all["router/α"]) != "entry 0" || len(all) != 2 {
		t.Errorf("%q", all)
	}
	if err := one.Release(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	if err := one.Release(ctx, "b"); err != nil {
		t.Errorf("a second release: %v", err)
	}
	if all := leases(); len(all) != 1 {
		t.Errorf("after a release: %q", all)
	}
	for len(leases()) > 0 { // until its time is up
		if !sleep(ctx, 100*time.Millisecond) {
			t.Fatal("a lease that nobody renews stays")
		}
	}
}
