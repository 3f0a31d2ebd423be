package observe

import "sync"

// other is the label of what is beyond the bound.
const other = "other"

// series keeps the children of metrics by their labels, since to look one up by its
// labels costs Prometheus' client more than to count. Beyond most keys all are as the
// one that is made of the zero value. Safe for concurrent use.
type series[K comparable, V any] struct {
	most int
	open func(K) V // of the zero K: the one that stands for all others

	mu  sync.RWMutex
	all map[K]V
}

func newSeries[K comparable, V any](most int, open func(K) V) *series[K, V] {
	return &series[K, V]{most: most, open: open, all: map[K]V{}}
}

func (s *series[K, V]) of(key K) V {
	s.mu.RLock()
	v, ok := s.all[key]
	s.mu.RUnlock()
	if ok {
		return v
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= s.most {
		var rest K
		key = rest
	}
	if v, ok = s.all[key]; !ok {
		v = s.open(key)
		s.all[key] = v
	}
	return v
}
