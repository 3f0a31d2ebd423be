package local

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// perRow is about what a row costs in memory beside its vector and its names:
// the arrays of its chunk, its entry in the tree of ids, and the room that chunks
// and trees keep free.
const perRow = 128

// perPosting is about what an entry of a sparse vector costs in memory: its posting,
// the room that its list keeps free, and its part of the list of a word that is new.
const perPosting = 16

// Memory returns about how many bytes the store needs for what it holds in
// memory: vectors, ids, the words of sparse vectors and the index on metadata, with
// the rows that were overwritten or deleted since they were last packed.
func (s *Store) Memory() int64 {
	st := s.state.Load()
	if st == nil {
		return 0
	}
	return st.need()
}

func (st *state) need() (bytes int64) {
	for _, c := range st.collections {
		bytes += c.head.need(len(c.columns))
	}
	return bytes
}

// need is what the rows of a collection take in memory.
func (h *header) need(indexed int) int64 {
	return h.Memory + h.Words + int64(h.Rows)*int64(perRow+4*indexed) //nolint:gosec // rows that fit a disk
}

// checkNeed refuses to load what would not fit.
func (s *Store) checkNeed(need int64) error {
	limit, what := s.cfg.MemoryLimit, "MemoryLimit allows"
	if limit == 0 {
		limit, what = freeMemory(), "are free"
	}
	if need > limit {
		return fmt.Errorf("the vectors and words need %s of memory, %s %s", mib(need), mib(limit), what)
	}
	return nil
}

// admit refuses a batch that would exceed the limit.
func (e *edit) admit(c *search.Collection, b *search.Batch) error {
	if e.limit == 0 || len(b.Upserts) == 0 {
		return nil
	}
	need := e.next.need()
	for name, d := range e.drafts { // what earlier batches of this transaction added
		if c, ok := e.next.collections[name]; ok {
			need += d.c.head.need(len(d.c.columns)) + d.fresh - c.head.need(len(c.columns))
		}
	}
	for i := range b.Upserts {
		p := &b.Upserts[i]
		need += int64(4*c.Dims + len(p.ID) + len(p.Tenant) + perRow + perPosting*len(p.Sparse.Index))
	}
	if need > e.limit {
		return fault.New(fault.Overloaded, "the store is full: the vectors and words would need %s of memory, MemoryLimit allows %s",
			mib(need), mib(e.limit))
	}
	return nil
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

// freeMemory returns how much memory the process can still get, as far as the
// system tells: on Linux the least of what is available and of what is left of
// the process's cgroup (version 2); elsewhere no bound.
func freeMemory() int64 {
	free := int64(math.MaxInt64)
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		free = min(free, available(info))
	}
	if self, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		free = min(free, cgroupLeft(self))
	}
	return free
}

// available reads MemAvailable from /proc/meminfo.
func available(meminfo []byte) int64 {
	lines := bufio.NewScanner(bytes.NewReader(meminfo))
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "MemAvailable:"); ok {
			if kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64); err == nil {
				return kib << 10
			}
		}
	}
	return math.MaxInt64
}

// cgroupLeft reads the limit and the use of the cgroup named in
// /proc/self/cgroup.
func cgroupLeft(self []byte) int64 {
	name, ok := strings.CutPrefix(strings.TrimSpace(string(self)), "0::")
	if !ok {
		return math.MaxInt64
	}
	dir := path.Join("/sys/fs/cgroup", name)
	limit, okLimit := readNumber(path.Join(dir, "memory.max"))
	used, okUsed := readNumber(path.Join(dir, "memory.current"))
	if !okLimit || !okUsed {
		return math.MaxInt64
	}
	return max(0, limit-used)
}

// readNumber reads a file that holds one number; "max" is none.
func readNumber(name string) (int64, bool) {
	text, err := os.ReadFile(name) //nolint:gosec // below /sys/fs/cgroup
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}
