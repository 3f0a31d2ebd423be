package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/sealed"
	"github.com/lanewise/lanewise/shardmap"
)

// keeper keeps the shard map, and the note of a move that is not finished. All but run and settle
// are called with the topology's lock held, or before there is a topology.
type keeper interface {
	// open returns a topology without its shards. The map is made for the configured ones if there is none.
	open(shards []shardmap.Shard) (*topology, error)
	// run follows the map until ctx ends.
	run(ctx context.Context)
	// edit stores an edited map and puts it in force.
	edit(change func(*shardmap.Map) (*shardmap.Map, error)) error
	// begin notes a move that starts from m, or what is left of it, and puts the map in force that is to last until flip.
	begin(m *shardmap.Map, plan json.RawMessage) error
	// settle returns once no other router is at work with an older map than t's, and none can write with one.
	settle(ctx context.Context, t *topology) error
	// flip stores the map that a move leads to and puts it in force, with the shards that join.
	flip(next *shardmap.Map, joins []*shard) error
	// finish takes the note away, and abandon says that the move does not go on for now.
	finish() error
	abandon()
	close() error
}

// note is of a move that is not finished.
type note struct {
	Epoch uint64          `json:"epoch"` // that the move starts from
	Plan  json.RawMessage `json:"plan"`
}

// fileMap keeps the map in a file that this router alone writes, and the note beside it.
type fileMap struct {
	r    *Router
	file *shardmap.File
	path string
	log  *slog.Logger
}

// open takes the lock. A stored map whose shards differ from the configured ones is refused: placement never
// changes by itself. Taking a stored map raises its epoch.
func (k *fileMap) open(shards []shardmap.Shard) (_ *topology, err error) {
	if k.file, err = shardmap.OpenFile(k.path); err != nil {
		return nil, err
	}
	var t topology
	if t.m, err = k.load(shards); err == nil {
		t.mixed, err = k.unfinished()
	}
	if err != nil {
		return nil, errors.Join(err, k.close())
	}
	return &t, nil
}

func (k *fileMap) run(context.Context) {}

func (k *fileMap) load(shards []shardmap.Shard) (*shardmap.Map, error) {
	m, err := k.file.Load()
	switch {
	case errors.Is(err, fault.NotFound):
		m, err = shardmap.New(shards)
	case err == nil:
		if err = m.Fits(shards); err != nil {
			err = fmt.Errorf("shard map %s: %w", k.path, err)
			break
		}
		m = m.Raised() // stores refuse what a router before this one still has on its way
	}
	if err != nil {
		return nil, err
	}
	return m, k.file.Save(m)
}

func (k *fileMap) notePath() string { return k.path + ".move" }

// unfinished reports whether a move was begun and not finished, so that shards may hold copies
// of points that they do not own. A damaged note says so, too.
func (k *fileMap) unfinished() (bool, error) {
	var n note
	err := sealed.Read(k.notePath(), &n)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil && !errors.Is(err, fault.Invalid):
		return false, err //nolint:wrapcheck // it names the file
	}
	k.log.Warn("a move of points was begun and not finished: run lanewise apply again", "file", k.notePath(), "epoch", n.Epoch, "err", err)
	return true, nil
}

func (k *fileMap) edit(change func(*shardmap.Map) (*shardmap.Map, error)) error {
	next, err := change(k.r.topo.Load().m)
	if err == nil {
		err = k.file.Save(next)
	}
	if err == nil {
		k.r.publish(func(t *topology) { t.m = next })
	}
	return err
}

func (k *fileMap) begin(m *shardmap.Map, plan json.RawMessage) error {
	if applied, err := shardmap.Applied(m, plan); err != nil || applied {
		return err //nolint:wrapcheck // Invalid: it says what it read
	}
	return sealed.Write(k.notePath(), note{Epoch: m.Epoch(), Plan: plan}) //nolint:wrapcheck // it names the file
}

func (k *fileMap) settle(context.Context, *topology) error { return nil }

// flip lets the file decide, where it fails, whether that was before or after the new map was in its place.
func (k *fileMap) flip(next *shardmap.Map, joins []*shard) error {
	if err := k.file.Save(next); err != nil {
		if now, readErr := k.file.Load(); readErr != nil || now.Epoch() != next.Epoch() {
			return errors.Join(err, readErr)
		}
	}
	t := topology{mixed: true}
	if err := k.r.reshape(&t, next, joins); err != nil {
		return err
	}
	k.r.topo.Store(&t)
	return nil
}

func (k *fileMap) finish() error {
	if err := os.Remove(k.notePath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	k.r.publish(func(t *topology) { t.mixed = false })
	return nil
}

func (k *fileMap) abandon() { k.r.publish(func(t *topology) { t.move = nil }) }

func (k *fileMap) close() error { return k.file.Close() }
