package keylock_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/lanewise/lanewise/internal/keylock"
)

func Example() {
	var l keylock.Locks
	unlock, err := l.Lock(context.Background(), []string{"a", "b"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer unlock()
	other, err := l.Lock(context.Background(), []string{"c"}) // does not wait
	if err != nil {
		fmt.Println(err)
		return
	}
	other()
	fmt.Println("both")
	// Output: both
}

func TestLock_waitsForAnyOfItsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l keylock.Locks
		unlock, err := l.Lock(t.Context(), []string{"a", "b", "a"})
		if err != nil {
			t.Fatal(err)
		}
		got := false
		var wg sync.WaitGroup
		wg.Go(func() {
			unlock, err := l.Lock(t.Context(), []string{"c", "b"})
			if err != nil {
				t.Error(err)
				return
			}
			got = true
			unlock()
		})
		synctest.Wait()
		if got {
			t.Error("a key was given twice")
		}
		free, err := l.Lock(t.Context(), []string{"c"}) // who waits holds nothing
		if err != nil {
			t.Fatal(err)
		}
		free()
		unlock()
		wg.Wait()
		if !got {
			t.Error("the key was not given on")
		}
	})
}

func TestLock_givesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l keylock.Locks
		unlock, err := l.Lock(t.Context(), []string{"a"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := l.Lock(ctx, []string{"a"})
			ended <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		unlock()
		if again, err := l.Lock(t.Context(), []string{"a"}); err != nil {
			t.Error(err)
		} else {
			again()
		}
	})
}

func TestLock_oneAtATime(t *testing.T) {
	var l keylock.Locks
	counts := make([]int, 8) // the race detector looks on
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 50 {
				a, b := (i+j)%8, (i*j+3)%8
				unlock, err := l.Lock(t.Context(), []string{strconv.Itoa(a), strconv.Itoa(b)})
				if err != nil {
					t.Error(err)
					return
				}
				counts[a]++
				counts[b]++
				unlock()
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range counts {
		sum += n
	}
	if sum != 2*16*50 {
		t.Errorf("counted %d", sum)
	}
}
