// Package watched holds what files say, and reads them again once they have changed.
//
// Nothing runs in the background: whoever asks for the value has the files looked at, at most
// once a second, which costs a system call for each of them. A change that cannot be
// read is logged once and changes nothing.
package watched

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Every is how often the files are looked at, at most.
const Every = time.Second

// Value is what files say. Safe for concurrent use.
type Value[T any] struct {
	files []string
	read  func() (T, error)
	log   *slog.Logger

	current atomic.Pointer[T]
	due     atomic.Int64 // when the files are looked at again, in ns since start
	start   time.Time
	mu      sync.Mutex // of the one who looks
	seen    []os.FileInfo
}

// New reads the files for the first time, with read, and fails where that does. log gets later
// failures and changes; nil: nobody does.
func New[T any](log *slog.Logger, read func() (T, error), files ...string) (*Value[T], error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	v := &Value[T]{files: files, read: read, log: log, start: time.Now()}
	seen, err := v.look() // before it is read: what is written in between is seen the next time
	if err != nil {
		return nil, err
	}
	first, err := read()
	if err != nil {
		return nil, err
	}
	v.seen = seen
	v.current.Store(&first)
	v.due.Store(int64(Every))
	return v, nil
}

// Get returns the value of the files as they were at most a second ago.
func (v *Value[T]) Get() T {
	if now := int64(time.Since(v.start)); now >= v.due.Load() && v.mu.TryLock() {
		v.refresh()
		v.due.Store(now + int64(Every))
		v.mu.Unlock()
	}
	return *v.current.Load()
}

// refresh reads files that have changed. The caller holds mu.
func (v *Value[T]) refresh() {
	seen, err := v.look()
	switch {
	case err != nil:
		if v.seen != nil {
			v.log.Warn("what the files said before stays in force", "files", v.files, "error", err)
		}
		v.seen = nil
		return
	case same(v.seen, seen):
		return
	}
	v.seen = seen
	next, err := v.read()
	if err != nil {
		v.log.Warn("what the files said before stays in force", "files", v.files, "error", err)
		return
	}
	v.current.Store(&next)
	v.log.Info("files have changed and are in force", "files", v.files)
}

func (v *Value[T]) look() ([]os.FileInfo, error) {
	out := make([]os.FileInfo, len(v.files))
	for i, file := range v.files {
		info, err := os.Stat(file)
		if err != nil {
			return nil, fmt.Errorf("look at a watched file: %w", err)
		}
		out[i] = info
	}
	return out, nil
}

// same reports whether nothing has changed. A file that was replaced is another one, whatever its time says.
func same(old, now []os.FileInfo) bool {
	if len(old) != len(now) {
		return false
	}
	for i := range old {
		if !os.SameFile(old[i], now[i]) || old[i].Size() != now[i].Size() || !old[i].ModTime().Equal(now[i].ModTime()) {
			return false
		}
	}
	return true
}
