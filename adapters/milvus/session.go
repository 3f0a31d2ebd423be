package milvus

import (
	"sync/atomic"
	"time"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
)

// session is how far a Store's own writes have got on the server's clock.
type session struct {
	start   time.Time
	last    atomic.Uint64 // the server's time of the latest write that it gave a time for
	untimed atomic.Int64  // when a write ended without one, since start: deletions in Milvus 2.3; 0: none since last
}

func (s *session) now() int64 { return int64(time.Since(s.start)) }

// saw notes a write that began at a time since start and got a time from the server.
func (s *session) saw(at uint64, began int64) {
	if at == 0 {
		s.untimed.Store(max(s.now(), 1))
		return
	}
	for old := s.last.Load(); at > old && !s.last.CompareAndSwap(old, at); {
		old = s.last.Load()
	}
	if old := s.untimed.Load(); old != 0 && began > old {
		s.untimed.CompareAndSwap(old, 0) // the later write's time stands for both
	}
}

// level is what a read must ask for to see all of this Store's writes.
func (s *session) level(lag time.Duration) (commonpb.ConsistencyLevel, uint64) {
	switch untimed := s.untimed.Load(); {
	case untimed == 0:
		return commonpb.ConsistencyLevel_Session, max(s.last.Load(), 1)
	case s.now()-untimed > int64(lag):
		return boundedly()
	default:
		return strongly()
	}
}
