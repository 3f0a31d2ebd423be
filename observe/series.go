package observe

import (
	"sync"
	"sync/atomic"
)

// other is the label of what is beyond the bound.
const other = "other"

// series keeps the children of metrics by their labels, since to look one up by its
// labels costs Prometheus' client more than to count. Beyond most keys all are as the
// one that is made of the zero value. Safe for concurrent use.
type series[K comparable, V any] struct {
	most int64
	open func(K) V // of the zero K: the one that stands for all others
	n    atomic.Int64
	all  sync.Map // K → V
	rest func() V
}

func newSeries[K comparable, V any](most int, open func(K) V) *series[K, V] {
	return &series[K, V]{most: int64(most), open: open, rest: sync.OnceValue(func() V {
		var none K
		return open(none)
	})}
}

func (s *series[K, V]) of(key K) V {
	if v, ok := s.all.Load(key); ok {
		return v.(V) //nolint:forcetypeassert // nothing else is in it
	}
	if s.n.Load() >= s.most {
		return s.rest()
	}
	v, there := s.all.LoadOrStore(key, s.open(key))
	if !there {
		s.n.Add(1)
	}
	return v.(V) //nolint:forcetypeassert // likewise
}
