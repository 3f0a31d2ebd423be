package embed

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"sync/atomic"

	"github.com/maypok86/otter/v2"

	"github.com/lanewise/lanewise/fault"
)

// Stats counts texts, not calls.
type Stats struct {
	Hits   uint64 // found in the cache
	Shared uint64 // embedded by the call of another caller at the same time
	Misses uint64 // embedded
	Bytes  uint64 // that the cache holds now, about
}

// overhead is about what the cache needs for an entry beside its numbers, in bytes.
const overhead = 160

// cache keeps the vectors of texts that were asked for before.
type cache struct {
	prefix string // of what a key is the hash of
	memory *otter.Cache[key, row]

	hits, shared, misses atomic.Uint64
}

func newCache(space Space, c Config) (*cache, error) {
	out := &cache{prefix: space.ID() + "\x00"}
	if c.Long == Truncate { // other vectors than those of whole texts
		out.prefix += string(c.Long)
		for _, u := range c.Upstreams {
			out.prefix += " " + strconv.Itoa(u.Limits.Window)
		}
	}
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
	buf := make([]byte, 0, 512)
	for i := range keys {
		buf = append(append(buf[:0], c.prefix...), b.Task...)
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
	for i, k := range keys {
		if c.memory == nil {
			missing++
		} else if found, ok := c.memory.GetIfPresent(k); ok {
			rows[i] = found
		} else {
			missing++
		}
	}
	c.hits.Add(uint64(len(keys) - missing)) //nolint:gosec // not negative
	return missing
}

// landed looks again for a row whose call may have ended just now.
func (c *cache) landed(k key, r *row) bool {
	if c.memory == nil {
		return false
	}
	found, ok := c.memory.GetIfPresent(k)
	if ok {
		*r = found
		c.hits.Add(1)
	}
	return ok
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
	if c.memory != nil {
		c.memory.Set(k, r)
	}
}

func (c *cache) stats() Stats {
	s := Stats{Hits: c.hits.Load(), Shared: c.shared.Load(), Misses: c.misses.Load()}
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
