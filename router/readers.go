package router

import "github.com/lanewise/lanewise/balance"

// admitReaders makes the pool of a shard that of the replicas which may answer.
func (r *Router) admitReaders(s *shard) error {
	r.registry.mu.Lock()
	defer r.registry.mu.Unlock()
	states := make([]*ReplicaState, len(s.replicas))
	for i, replica := range s.replicas {
		states[i] = r.registry.of(s, replica)
	}
	keepOneReader(states)
	return r.admitReadersLocked(s)
}

func (r *Router) admitReadersLocked(s *shard) error {
	var members, words []balance.Member[Replica]
	for _, replica := range s.replicas {
		switch {
		case !r.registry.of(s, replica).Reads:
		case replica.words:
			words = append(words, member(replica))
		default:
			members = append(members, member(replica))
		}
	}
	if s.companions != nil {
		if s.mute.Store(len(words) == 0); len(words) > 0 {
			if err := s.companions.Update(words); err != nil {
				return err //nolint:wrapcheck // as below
			}
		}
	}
	return s.pool.Update(members) //nolint:wrapcheck // the members were valid when the pool was made
}
