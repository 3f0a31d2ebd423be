package router_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// What nobody has searched is counted, too: by the next look, and again when that is long ago.
func TestState_countsWhatNobodySearches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fake{points: 3}
		r := newRouter(t, router.Config{}, []search.Store{store})
		r.State()
		synctest.Wait()
		if got := r.State().Points["docs"]; got != 3 {
			t.Errorf("%v points at the second look, want 3", got)
		}
		store.points = 5
		time.Sleep(time.Minute) // virtual
		r.State()
		synctest.Wait()
		if got := r.State().Points["docs"]; got != 5 {
			t.Errorf("%v points a minute later, want 5", got)
		}
	})
}
