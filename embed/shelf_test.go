package embed_test

import (
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/embed/diskcache"
)

// drawer is a shelf in memory.
type drawer map[[16]byte][]byte

func (d drawer) Get(keys [][16]byte, found func(at int, value []byte)) {
	for at, k := range keys {
		if value, ok := d[k]; ok {
			found(at, slices.Clone(value))
		}
	}
}

func (d drawer) Put(key [16]byte, value []byte) { d[key] = value }

// embeds asks a lane for texts and returns how many of them cost a call of f.
func embeds(t *testing.T, e *embed.Embedder, f *fake, texts ...string) int {
	t.Helper()
	before := f.texts()
	v, err := e.Embed(t.Context(), query(texts...))
	if err != nil {
		t.Fatal(err)
	}
	check(t, v, texts, embed.QueryTask)
	if v.Tokens != 10*len(texts) {
		t.Errorf("%d tokens for %q", v.Tokens, texts)
	}
	return f.texts() - before
}

// TestCache_overARestart holds that a lane finds on disk what another one embedded
// before it, unless its space is another.
func TestCache_overARestart(t *testing.T) {
	path, f := filepath.Join(t.TempDir(), "cache"), &fake{}
	run := func(f *fake, want int, texts ...string) embed.Stats {
		t.Helper()
		shelf, err := diskcache.Open(diskcache.Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		e, err := embed.New(embed.Config{Shelf: shelf, Upstreams: []embed.Upstream{{Name: "a", Provider: f}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := embeds(t, e, f, texts...); got != want {
			t.Errorf("%d texts of %q were embedded, want %d", got, texts, want)
		}
		s := e.Stats()
		finish(t, e)
		if err := shelf.Close(); err != nil {
			t.Error(err)
		}
		return s
	}
	run(f, 2, "a", "b")
	s := run(f, 1, "b", "c", "a")
	if s.Kept != 2 || s.Misses != 1 || s.Hits != 0 || s.HitRate() != 2.0/3 {
		t.Errorf("%+v, hit rate %v", s, s.HitRate())
	}
	run(&fake{space: embed.Space{Model: "fake", Revision: "2", Dims: dims, Normalized: true}}, 2, "a", "b")
}

func TestCache_shelfToMemory(t *testing.T) {
	f, shelf := &fake{}, drawer{}
	embeds(t, lane(t, embed.Config{Shelf: shelf}, f), f, "a")
	e := lane(t, embed.Config{Shelf: shelf}, f)
	for range 2 {
		if n := embeds(t, e, f, "a"); n != 0 {
			t.Errorf("%d texts were embedded", n)
		}
	}
	if s := e.Stats(); s.Kept != 1 || s.Hits != 1 {
		t.Errorf("%+v, want one look at the shelf and one into memory", s)
	}
	e = lane(t, embed.Config{Shelf: shelf, CacheBytes: -1}, f)
	if n := embeds(t, e, f, "a"); n != 0 || e.Stats().Kept != 1 {
		t.Errorf("without memory %d texts were embedded, %+v", n, e.Stats())
	}
}

func TestCache_ttl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, shelf := range []embed.Shelf{nil, drawer{}} {
			f := &fake{}
			e := lane(t, embed.Config{CacheTTL: time.Hour, Shelf: shelf}, f)
			for _, c := range []struct {
				after time.Duration
				want  int
			}{{0, 1}, {59 * time.Minute, 0}, {2 * time.Minute, 1}, {59 * time.Minute, 0}, {24 * time.Hour, 1}} {
				<-time.After(c.after)
				if got := embeds(t, e, f, "a"); got != c.want {
					t.Errorf("%v later %d texts were embedded, want %d", c.after, got, c.want)
				}
			}
		}
	})
}

// TestCache_ofAnotherModel holds that what a model has left on the shelf is not
// taken for the answer of another that has its name.
func TestCache_ofAnotherModel(t *testing.T) {
	var changed atomic.Bool
	shelf := drawer{}
	asked := func() int {
		t.Helper()
		f := model2(&changed)
		e := lane(t, embed.Config{Shelf: shelf, Watch: time.Hour}, f)
		canary(t, e)
		before := f.texts()
		if _, err := e.Embed(t.Context(), query("a")); err != nil {
			t.Fatal(err)
		}
		return f.texts() - before
	}
	for run, c := range []struct {
		changed bool
		want    int
	}{{false, 1}, {false, 0}, {true, 1}, {true, 0}, {false, 1}} {
		changed.Store(c.changed)
		if got := asked(); got != c.want {
			t.Errorf("run %d: %d texts were embedded, want %d", run, got, c.want)
		}
	}
}

// What stands on the shelf and is no row of this lane is not there.
func TestCache_shelfOfNonsense(t *testing.T) {
	f, shelf := &fake{}, drawer{}
	embeds(t, lane(t, embed.Config{Shelf: shelf}, f), f, "a")
	for k, value := range shelf {
		shelf[k] = value[:len(value)-1]
	}
	if n := embeds(t, lane(t, embed.Config{Shelf: shelf}, f), f, "a"); n != 1 {
		t.Errorf("%d texts were embedded", n)
	}
}
