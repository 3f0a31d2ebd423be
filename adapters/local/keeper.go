package local

import (
	"cmp"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// remembered is how long a deletion keeps its version, so that a late retry of
// an older upsert cannot bring the point back.
const remembered = 24 * time.Hour

// keeper remembers what has to leave the disk, and when. The goroutine that
// holds the turn owns it.
type keeper struct {
	txid    int // of the last commit
	retired []*state
	graves  []grave // by since
	marks   []mark  // by time
}

// grave is a record that no longer stands for anything in the newest snapshot,
// but may do so in an older one.
type grave struct {
	id     uint32 // of the collection
	record uint64
	since  uint64 // number of the first snapshot without it
}

// mark is a deletion whose time will come.
type mark struct {
	at         int64 // Unix milliseconds of the deletion
	collection string
	id         uint32 // of the collection, in case its name was used again
	key        search.Key
	record     uint64
}

func (m mark) byTime(other mark) int { return cmp.Compare(m.at, other.at) }

// retire takes the snapshot that was just replaced, and lets go of those that
// nobody reads.
func (k *keeper) retire(st *state) {
	k.retired = append(k.retired, st)
	for len(k.retired) > 0 && k.retired[0].readers.Load() == 0 {
		k.retired[0] = nil
		k.retired = k.retired[1:]
	}
}

// oldest returns the number of the oldest snapshot that somebody may be reading.
func (k *keeper) oldest(current *state) uint64 {
	for _, st := range k.retired {
		if st.readers.Load() > 0 {
			return st.number
		}
	}
	return current.number
}

// adopt takes over what a committed edit left behind.
func (k *keeper) adopt(e *edit) {
	k.txid = e.txid
	k.graves = append(k.graves[e.removed:], e.graves...)
	k.marks = append(k.marks[e.expired:], e.marks...)
}

// doubt finds out what a failed commit left behind. If the file may hold what
// was never acknowledged, memory and disk no longer agree, and the store takes
// no more writes: after a failed sync nobody knows what the disk has (Rebello
// et al., USENIX ATC 2020).
func (s *Store) doubt() error {
	err := s.db.View(func(tx *bbolt.Tx) error {
		if tx.ID() != s.keeper.txid {
			return fmt.Errorf("transaction %d may or may not be on disk", tx.ID())
		}
		return nil
	})
	if err != nil {
		return fault.Wrap(fault.Unavailable, s.file+": a write failed half way; open the store again", err)
	}
	return nil
}
