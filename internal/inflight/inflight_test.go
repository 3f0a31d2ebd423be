package inflight_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lanewise/lanewise/internal/inflight"
)

func Example() {
	var calls inflight.Calls
	if calls.Begin() {
		fmt.Println("a call")
		calls.Done()
	}
	fmt.Println("to be closed:", calls.End())
	fmt.Println("one more:", calls.Begin())
	// Output:
	// a call
	// to be closed: true
	// one more: false
}

func TestEnd_waitsAndRefuses(t *testing.T) {
	var calls inflight.Calls
	for range 2 {
		if !calls.Begin() {
			t.Fatal("refused before the end")
		}
	}
	ended := make(chan bool, 1)
	go func() { ended <- calls.End() }()
	for calls.Begin() { // until End has begun
		calls.Done()
	}
	if calls.End() {
		t.Error("a second End says that what is in use may be closed")
	}
	calls.Done()
	if len(ended) > 0 {
		t.Error("End left a call behind")
	}
	calls.Done()
	if !<-ended || calls.Begin() {
		t.Error("End said no, or a call was taken after it")
	}
}

// TestEnd_amongCalls holds that nothing is used once End has returned, with callers who come
// all the time.
func TestEnd_amongCalls(t *testing.T) {
	for range 200 {
		var (
			calls  inflight.Calls
			closed atomic.Bool
			all    sync.WaitGroup
		)
		for range 4 {
			all.Go(func() {
				for calls.Begin() {
					if closed.Load() {
						t.Error("a call uses what is closed")
					}
					calls.Done()
				}
			})
		}
		if !calls.End() {
			t.Error("End returned false the first time")
		}
		closed.Store(true)
		all.Wait()
	}
}
