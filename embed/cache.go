package embed

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/lanewise/lanewise/fault"
)

// Stats counts texts, not calls. Those of bulk batches are not among them.
type Stats struct {
	Hits   uint64 // found in memory
	Kept   uint64 // found on the shelf
	Shared uint64 // embedded by the call of another caller at the same time
	Misses uint64 // embedded
	Bytes  uint64 // that the memory holds now, about
}

// HitRate is the part of the texts that needed no call, from 0 to 1.
func (s Stats) HitRate() float64 {
	found := s.Hits + s.Kept
	return float64(found) / float64(max(found+s.Shared+s.Misses, 1))
}

// Shelf is a second level of the cache: slower than memory, larger, and still there
// after a restart. It may lose entries. A diskcache.Cache is one.
type Shelf interface {
	// Get calls found with each value that is there, which found may keep, and the
	// position of its key.
	Get(keys [][16]byte, found func(at int, value []byte))
	// Put has a value kept, which is never changed. It must not wait.
	Put(key [16]byte, value []byte)
}

// overhead is about what the cache needs for an entry beside its numbers, in bytes.
const overhead = 160

// cache keeps the vectors of texts that were asked for before.
type cache struct {
	base   string                 // of the prefix
	prefix atomic.Pointer[string] // of what a key is the hash of
	memory *otter.Cache[key, row]
	shelf  Shelf // nil: none
	ttl    time.Duration
	dims   int

	hits, kept, shared, misses atomic.Uint64
}

func newCache(space Space, c Config) (*cache, error) {
	out := &cache{base: space.ID() + "\x00", shelf: c.Shelf, ttl: c.CacheTTL, dims: space.Dims}
	if c.Long == Truncate { // other vectors than those of whole texts
		out.base += string(c.Long)
		for _, u := range c.Upstreams {
			out.base += " " + strconv.Itoa(u.Limits.Window)
		}
	}
	out.restore()
	if c.CacheBytes < 0 {
		return out, nil
	}
	weight := uint32(4*space.Dims + overhead) //nolint:gosec // dims are far below 2^30
	memory, err := otter.New(&otter.Options[key, row]{
		MaximumWeight: uint64(c.CacheBytes),
		Weigher:       func(key, row) uint32 { return weight },
	})
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "make the cache", err)
	}
	out.memory = memory
	return out, nil
}

// keys hashes the texts as they were given, before any prefix.
func (c *cache) keys(b Batch) []key {
	keys := make([]key, b.Len())
	buf, prefix := make([]byte, 0, 512), *c.prefix.Load()
	for i := range keys {
		buf = append(append(buf[:0], prefix...), b.Task...)
		if b.IDs != nil {
			buf = append(buf, 1)
			for _, id := range b.IDs[i] {
				buf = binary.LittleEndian.AppendUint32(buf, id)
			}
		} else {
			buf = append(append(buf, 0), b.Texts[i]...)
		}
		sum := sha256.Sum256(buf)
		keys[i] = key(sum[:16])
	}
	return keys
}

// lookup sets the rows that the cache has and returns how many are missing.
func (c *cache) lookup(keys []key, rows []row) (missing int) {
	oldest := c.oldest()
	for i, k := range keys {
		if !c.find(k, oldest, &rows[i]) {
			missing++
		}
	}
	c.hits.Add(uint64(len(keys) - missing)) //nolint:gosec // not negative
	if missing > 0 && c.shelf != nil {
		missing -= c.fetch(keys, rows, oldest)
	}
	return missing
}

// find looks for a row in memory.
func (c *cache) find(k key, oldest int64, r *row) bool {
	if c.memory == nil {
		return false
	}
	found, ok := c.memory.GetIfPresent(k)
	if ok = ok && found.at >= oldest; ok {
		*r = found
	}
	return ok
}

// fetch takes rows that are missing from the shelf, and returns their number.
func (c *cache) fetch(keys []key, rows []row, oldest int64) (n int) {
	var lacking [][16]byte
	var at []int
	for i, k := range keys {
		if rows[i].vector == nil {
			lacking, at = append(lacking, k), append(at, i)
		}
	}
	c.shelf.Get(lacking, func(i int, value []byte) {
		r, ok := decodeRow(value, c.dims)
		if !ok || r.at < oldest {
			return
		}
		rows[at[i]] = r
		n++
		if c.memory != nil {
			c.memory.Set(keys[at[i]], r)
		}
	})
	c.kept.Add(uint64(n)) //nolint:gosec // not negative
	return n
}

// oldest is when a row must have been made that still counts, in Unix seconds.
func (c *cache) oldest() int64 {
	if c.ttl <= 0 {
		return 0
	}
	return time.Now().Add(-c.ttl).Unix()
}

// landed looks again for a row whose call may have ended just now.
func (c *cache) landed(k key, r *row) bool {
	if !c.find(k, c.oldest(), r) {
		return false
	}
	c.hits.Add(1)
	return true
}

// count enters the texts that have to be embedded.
func (c *cache) count(items []*item, own []bool) {
	var shared, misses uint64
	for at, i := range items {
		if own[at] {
			misses++
		} else if i != nil {
			shared++
		}
	}
	c.shared.Add(shared)
	c.misses.Add(misses)
}

func (c *cache) put(k key, r row) {
	r.at = time.Now().Unix()
	if c.memory != nil {
		c.memory.Set(k, r)
	}
	if c.shelf != nil {
		c.shelf.Put(k, r.encode())
	}
}

func (c *cache) stats() Stats {
	s := Stats{Hits: c.hits.Load(), Kept: c.kept.Load(), Shared: c.shared.Load(), Misses: c.misses.Load()}
	if c.memory != nil {
		c.memory.CleanUp() // what is pending would be missing
		s.Bytes = c.memory.WeightedSize()
	}
	return s
}

func (c *cache) close() {
	if c.memory != nil {
		c.memory.StopAllGoroutines()
	}
}
