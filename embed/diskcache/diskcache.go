// Package diskcache keeps small values by key in two files of bounded size, so that
// a cache survives a restart.
//
// It is a log in two halves: values are appended to the younger one, and when that
// is full the older one is emptied and takes its turn. So the oldest values go
// first, nothing is ever moved, and the size is bounded to the byte. Where a value
// lies is kept in memory, about 60 bytes each, and found again at the start.
//
// A cache may lose values, but must never return a wrong one or stop the program:
// every value has a checksum over itself and its key, nothing is trusted that a
// file says about itself, and what was damaged, cut off or mixed up by a second
// process is not found. That is why it is no tree of pages, which a damaged page
// can lead round in a circle.
package diskcache

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/lanewise/lanewise/fault"
)

// Config says where a cache is and how large it may become.
type Config struct {
	// Path is that of its files without their endings, ".0" and ".1". The folder is
	// made where it is missing. One process at a time should use it.
	Path  string
	Bytes int64        // of both files together, at least 1 MiB; 0: 1 GiB
	Log   *slog.Logger // changes of state; nil: none
}

const (
	defaultBytes = 1 << 30
	leastBytes   = 1 << 20
	mostValue    = 16 << 20
	waiting      = 4096 // values that wait to be written, at most
	flushAt      = 256 << 10
)

// Key is what a value is found by: a hash, so that nobody can choose it.
type Key = [16]byte

// Cache is an open cache. It must be closed. Safe for concurrent use.
type Cache struct {
	limit int64 // of one half
	log   *slog.Logger
	puts  chan entry
	done  chan struct{} // closed when the writer has ended

	mu     sync.RWMutex
	halves [2]*half
	young  int // which half is written to
	closed bool

	broken  atomic.Bool // nothing can be written any more
	dropped atomic.Uint64
}

// entry is a value on its way to the file.
type entry struct {
	key   Key
	value []byte
}

// Open opens or makes a cache, and reads where its values lie: about a second for a
// million. Files that are damaged lose what lies behind the damage. Its error is
// fault.Invalid for a Config that makes no sense, or the system's.
func Open(c Config) (*Cache, error) {
	c.Bytes = cmp.Or(c.Bytes, defaultBytes)
	switch {
	case c.Path == "":
		return nil, fault.BadField("/path", "is missing")
	case c.Bytes < leastBytes:
		return nil, fault.BadField("/bytes", "is %d, and must be at least %d", c.Bytes, leastBytes)
	}
	if err := os.MkdirAll(filepath.Dir(c.Path), 0o750); err != nil {
		return nil, fmt.Errorf("folder of cache %s: %w", c.Path, err)
	}
	out := &Cache{limit: c.Bytes / 2, log: c.Log, puts: make(chan entry, waiting), done: make(chan struct{})}
	if out.log == nil {
		out.log = slog.New(slog.DiscardHandler)
	}
	for i := range out.halves {
		h, err := openHalf(fmt.Sprintf("%s.%d", c.Path, i), out.limit)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open cache: %w", err), out.shut())
		}
		out.halves[i] = h
	}
	if out.halves[1].turn > out.halves[0].turn {
		out.young = 1
	}
	go out.write()
	return out, nil
}

// Get calls found with each value that is there, which found may keep, and the
// position of its key. A value that was put a moment ago may not be there yet.
func (c *Cache) Get(keys []Key, found func(at int, value []byte)) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return
	}
	for at, k := range keys {
		for _, h := range []*half{c.halves[c.young], c.halves[1-c.young]} {
			if value, ok := h.get(k); ok {
				found(at, value)
				break
			}
		}
	}
}

// Put has a value of at most 16 MiB stored, which must not be changed any more. It never
// waits: where the disk does not keep up the value is dropped.
func (c *Cache) Put(k Key, value []byte) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed || c.broken.Load() || len(value) > mostValue || headSize+int64(len(value)) > c.limit-fileHead {
		return
	}
	select {
	case c.puts <- entry{k, value}:
	default:
		c.dropped.Add(1)
	}
}

// Stats says how a cache stands.
type Stats struct {
	Values  int    // that can be found
	Bytes   int64  // of both files
	Dropped uint64 // values that were not stored, because the disk did not keep up
}

// Stats returns how the cache stands.
func (c *Cache) Stats() Stats {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := Stats{Dropped: c.dropped.Load()}
	for _, h := range c.halves {
		s.Values += h.values()
		s.Bytes += h.end
	}
	return s
}

// Close writes what waits and closes the files. What is put later is forgotten.
func (c *Cache) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.mu.Unlock()
	close(c.puts)
	<-c.done
	return c.shut()
}

func (c *Cache) shut() (err error) {
	for _, h := range c.halves {
		if h != nil {
			err = errors.Join(err, h.file.Close())
		}
	}
	return err
}

// write stores what is put, as much at a time as waits.
func (c *Cache) write() {
	defer close(c.done)
	for e := range c.puts {
		batch, size := []entry{e}, len(e.value)
		for more := true; more && size < flushAt; {
			select {
			case e, ok := <-c.puts:
				if more = ok; ok {
					batch, size = append(batch, e), size+len(e.value)
				}
			default:
				more = false
			}
		}
		if err := c.store(batch); err != nil && !c.broken.Swap(true) {
			c.log.Warn("a cache on disk cannot be written any more", "file", c.halves[c.young].file.Name(), "err", err)
		}
	}
}

// store appends a batch to the younger half, and turns the halves where it is full.
// Only the writer changes young and the files, so it reads them without the lock.
func (c *Cache) store(batch []entry) error {
	if c.broken.Load() {
		return nil
	}
	for len(batch) > 0 {
		h := c.halves[c.young]
		n, err := h.write(batch, c.limit)
		if err != nil {
			return err
		}
		c.mu.Lock()
		h.publish(batch[:n])
		batch = batch[n:]
		if len(batch) > 0 {
			c.young = 1 - c.young
			err = c.halves[c.young].restart(h.turn + 1)
		}
		c.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}
