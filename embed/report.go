package embed

import (
	"math"
	"sync"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// Report enters how many texts the named upstream has by its own account, running and
// waiting, everybody's: servers of embeddings count texts, of which a call has many.
// What exceeds the lane's own texts counts as calls of the size that the lane's have, as
// balance.Pool's Report says. An unknown upstream is fault.NotFound.
func (e *Embedder) Report(upstream string, texts float64, lasts time.Duration) error {
	for _, m := range *e.members.Load() {
		if m.name == upstream {
			return e.pool.Report(upstream, m.own.reckon(texts), lasts)
		}
	}
	return fault.New(fault.NotFound, "there is no upstream %q", upstream)
}

// traffic is what the lane has an upstream do.
type traffic struct {
	mu    sync.Mutex
	calls int     // under way
	texts int     // of them
	usual float64 // texts of a call, by the last ones; 0: there was none
}

// usualOver is how many calls the usual size goes back to.
const usualOver = 16

// enter counts a call until it is over.
func (f *traffic) enter(texts int) (over func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	f.texts += texts
	if f.usual == 0 {
		f.usual = float64(texts)
	}
	f.usual += (float64(texts) - f.usual) / usualOver
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.calls--
		f.texts -= texts
	}
}

// reckon turns texts that a server has into calls: the lane's own, and those that the
// other texts would be.
func (f *traffic) reckon(texts float64) float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !(texts >= 0) {
		return texts // the pool refuses it
	}
	return float64(f.calls) + math.Max(0, texts-float64(f.texts))/math.Max(f.usual, 1)
}
