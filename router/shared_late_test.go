package router_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// What a router had on its way while it hung reaches the stores in the middle of a move, after the points were read: they refuse
// it. It reads the map again and writes to where the points belong then.
func TestShared_lateWriteIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "s0", "s1")
		c := f.config("a", "s0", "s1")
		slowly(c.Shards[1], func(b search.Batch) time.Duration { // the copy
			return time.Duration(min(len(b.Upserts), 1)) * 10 * time.Minute
		})
		first, err := router.New(f.config("first", "s0"))
		if err != nil {
			t.Fatal(err)
		}
		f.stuffed(first, 50)
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		a := f.join(c)
		slow := f.config("b", "s0", "s1")
		slow.WriteTimeout = time.Hour
		hung := make(chan struct{}, 1000)
		slowly(slow.Shards[0], func(search.Batch) time.Duration { hung <- struct{}{}; return 5 * time.Minute })
		b := f.join(slow)
		var writing sync.WaitGroup
		var versions [50]search.Version
		for i := range versions { // some of them are of points that move
			writing.Go(func() {
				ack, err := b.Upsert(t.Context(), router.Upsert{Collection: "docs", Points: []search.Point{{Key: search.Key{ID: fmt.Sprint("p", i)}, Dense: []float32{2}}}})
				for errors.Is(err, fault.Conflict) || errors.Is(err, fault.Unavailable) { // it cannot read the map, or the point is on its way
					time.Sleep(time.Minute)
					ack, err = b.Upsert(t.Context(), router.Upsert{Collection: "docs", Points: []search.Point{{Key: search.Key{ID: fmt.Sprint("p", i)}, Dense: []float32{2}}}})
				}
				if versions[i] = ack.Version; err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		sent := len(hung)
		f.doors["b"].cut.Store(true)
		ended := make(chan error, 1)
		go func() {
			_, err := a.Apply(context.Background(), router.Move{Plan: f.plan(a, "s0", "s1"), Shards: c.Shards})
			ended <- err
		}()
		time.Sleep(7 * time.Minute)
		f.doors["b"].cut.Store(false)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		writing.Wait()
		if len(hung) == sent {
			t.Error("no write was refused")
		}
		for i, version := range versions {
			got, err := a.Get(t.Context(), "docs", []search.Key{{ID: fmt.Sprint("p", i)}}, search.Fields{})
			if err != nil || len(got) != 1 || got[0].Version < version {
				t.Errorf("p%d: %v, %v; version %d was acknowledged", i, got, err, version)
			}
		}
		if got := refetch(t, a, b); got != "" {
			t.Error(got)
		}
	})
}

// slowly has writes to a shard take their time.
func slowly(s router.Shard, delay func(search.Batch) time.Duration) {
	for i := range s.Replicas {
		s.Replicas[i].Store = &delayed{Store: s.Replicas[i].Store, delay: delay}
	}
}

// refetch compares what two routers say of every document.
func refetch(t *testing.T, a, b *router.Router) string {
	t.Helper()
	var told [2]string
	for i, r := range []*router.Router{a, b} {
		page, err := r.Scroll(t.Context(), search.Scan{Collection: "docs", Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(page.Points)
		if err != nil {
			t.Fatal(err)
		}
		told[i] = string(text)
	}
	if told[0] == told[1] {
		return ""
	}
	return "the routers differ:\n" + told[0] + "\n" + told[1]
}

// delayed is a store to which writes take their time, whatever becomes of who wrote.
type delayed struct {
	search.Store
	delay func(search.Batch) time.Duration
}

func (d *delayed) Write(ctx context.Context, b search.Batch) (search.Written, error) {
	if wait := d.delay(b); wait > 0 {
		time.Sleep(wait)
		ctx = context.WithoutCancel(ctx)
	}
	return d.Store.Write(ctx, b)
}

// The work of a router that is gone ends with its lease: the others write again, and when it is back it finds out.
func TestShared_moverHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "s0", "s1")
		c := f.config("a", "s0", "s1")
		slow := c.Shards[1].Replicas[0].Store
		c.Shards[1].Replicas[0].Store = &delayed{Store: slow, delay: func(b search.Batch) time.Duration {
			if len(b.Upserts) > 0 {
				return 2 * time.Minute
			}
			return 0
		}}
		plain, err := router.New(f.config("b", "s0")) // with a map of one shard
		if err != nil {
			t.Fatal(err)
		}
		f.stuffed(plain, 50)
		if err := plain.Close(); err != nil {
			t.Fatal(err)
		}
		b := f.join(f.config("c", "s0", "s1"))
		a := f.join(c)
		ended := make(chan error, 1)
		go func() {
			_, err := a.Apply(context.Background(), router.Move{Plan: f.plan(a, "s0", "s1"), Shards: c.Shards})
			ended <- err
		}()
		time.Sleep(time.Second)
		refused := 0
		for i := range 50 {
			if err := one(b, fmt.Sprint("p", i)); errors.Is(err, fault.Unavailable) && strings.Contains(err.Error(), "on its way") {
				refused++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if refused == 0 || refused == 50 {
			t.Errorf("%d of 50 points could not be written while some moved", refused)
		}
		f.doors["a"].cut.Store(true)
		time.Sleep(2 * f.shelf.ttl)
		for i := range 50 {
			if err := one(b, fmt.Sprint("p", i)); err != nil {
				t.Fatalf("after the mover's lease: %v", err)
			}
		}
		f.doors["a"].cut.Store(false)
		if err := <-ended; !errors.Is(err, fault.Conflict) {
			t.Errorf("the mover ended with %v", err)
		}
		has(t, b, 50)
		if err := f.move(b, "s0", "s1"); err != nil {
			t.Errorf("another router's move: %v", err)
		}
		synctest.Wait()
		has(t, a, 50)
		if got := refetch(t, a, b); got != "" {
			t.Error(got)
		}
	})
}
