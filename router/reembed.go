package router

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

// Reembed asks for one step of moving a collection to another embedding model.
type Reembed struct {
	Collection string // or an alias, which then is what moves
	Space      string // id of the space to move to
	Cursor     string // where the step before ended; empty: at the start
	Limit      int    // points to look at; 0: 250
	Swap       bool   // has the name stand for the new collection once that has caught up
	// Replace lets a collection that is addressed by its own name give it away: the name becomes an alias of
	// the new collection, and the old points are dropped.
	Replace bool
}

// Reembedded is what a step has done.
type Reembedded struct {
	From, Into string // the collections; the same one where the name stands for one of that space already
	Seen       int    // points looked at
	Embedded   int    // points that were embedded anew
	Deleted    int    // points that the new collection had and the old one has not
	Cursor     string // of the next step; empty: the new collection holds what the old one holds
	Swapped    bool   // the name stands for the new collection
}

// The stages of a reembedding.
const (
	stageCopy  = iota // what the old collection has and the new one has not
	stagePrune        // what the new one has and the old one has not
	stageCatch        // what was written meanwhile
)

// seamAt is where a step of a reembedding ended.
type seamAt struct {
	Follower uint64     `json:"f"` // who notes what is written; another one has seen nothing of the time before
	Stage    int        `json:"s"`
	Rounds   int        `json:"r"` // of the last stage
	After    search.Key `json:"a"`
}

// lastMile is how many points may be left to embed while writes wait for the swap, at first.
const lastMile = 32

// Reembed makes a collection of another embedding space of the texts of one, a step at a time, while searches and
// writes go on, and has its name stand for the new collection in the end. The new one is named after the
// old one and the space; points keep their versions, so that it can be told what is there already, and the steps
// may be started again at any time. It ends up with exactly the points of the old one.
//
// Nothing that is acknowledged is lost: the writes of the time are noted and followed, and for
// the moment of the swap new ones wait, to go to the new collection. A write that a name was asked for goes
// to what the name stands for when it is stored. While other routers share the map it is fault.Conflict. Points without a text cannot be embedded: they end it with fault.Invalid.
func (r *Router) Reembed(ctx context.Context, q Reembed) (Reembedded, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*r.cfg.WriteTimeout)
	defer cancel()
	at, err := openSeamAt(q.Cursor)
	if err != nil {
		return Reembedded{}, err
	}
	j, err := r.reembedding(ctx, q)
	if err != nil || j.done.Swapped {
		return j.done, err
	}
	f, leave, err := r.follows.join(ctx, j.from.Name, j.into.Name)
	if err != nil {
		return j.done, err
	}
	defer leave()
	joined, release, err := r.alone(ctx)
	if err != nil {
		return j.done, err
	}
	defer release()
	f.meet(joined)
	if at.Follower != f.id || f.forgot() {
		at = seamAt{Follower: f.id}
		if err := r.commits.drain(ctx); err != nil { // those that it has not noted
			return j.done, err
		}
	}
	j.follower = f
	if at.Stage == stageCatch {
		return j.catchUp(ctx, at)
	}
	return j.sweep(ctx, at)
}

// reembedding is a step under way.
type reembedding struct {
	Reembed
	r          *Router
	from, into search.Collection
	follower   *follower
	done       Reembedded
}

// reembedding resolves the names, refuses what cannot be done, and makes the new collection.
func (r *Router) reembedding(ctx context.Context, q Reembed) (*reembedding, error) {
	j := &reembedding{Reembed: q, r: r}
	j.Limit = cmp.Or(max(q.Limit, 0), 250)
	var err error
	if j.from, err = r.topo.Load().writable(q.Collection, "any"); err != nil {
		return j, err
	}
	j.into = j.from
	j.into.Space, j.into.Dims = q.Space, 0
	if _, err := r.embedderFor(j.into); err != nil || q.Space == "" {
		return j, fault.BadField("/space", "%q is of no configured embedder; configured: %s", q.Space, r.spaces())
	}
	base, _, _ := strings.Cut(j.from.Name, "--")
	j.into.Name = base + "--" + plainName(q.Space)
	j.done.From, j.done.Into = j.from.Name, j.into.Name
	if j.from.Space == q.Space {
		j.done.Into, j.done.Swapped = j.from.Name, true
		return j, j.dropLeftovers(ctx, base)
	}
	if err := j.allowed(); err != nil {
		return j, err
	}
	if j.into, err = r.CreateCollection(ctx, j.into); err != nil {
		return j, fmt.Errorf("collection %q: %w", j.done.Into, err)
	}
	return j, nil
}

// allowed refuses what would end in a name that stands for nothing.
func (j *reembedding) allowed() error {
	own := j.from.Name == j.Collection
	switch {
	case j.r.topo.Load().move != nil:
		return j.r.topo.Load().move.refuse("no collection can be reembedded")
	case !own || !j.Swap:
		return nil
	case !j.Replace:
		return &fault.Error{Class: fault.Invalid, Field: "/replace", Message: fmt.Sprintf("%q is the collection's own name: it can become an alias of %q only where the old points are dropped, "+
			"which has to be asked for", j.Collection, j.into.Name)}
	case j.r.keep == nil:
		return fault.BadField("/replace", "%q cannot become an alias: without a file for the shard map, aliases end with the process", j.Collection)
	}
	return nil
}

// plainName makes a name of an id: letters, digits, dots, dashes and underscores.
func plainName(id string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
			return c
		}
		return '-'
	}, id)
}

// sweep compares a page of one collection with the other.
func (j *reembedding) sweep(ctx context.Context, at seamAt) (Reembedded, error) {
	here, there := j.from.Name, j.into.Name
	if at.Stage == stagePrune {
		here, there = there, here
	}
	page, err := j.r.Scroll(ctx, search.Scan{Collection: here, AllTenants: true, After: at.After, Limit: min(j.Limit, MaxK)})
	if err != nil {
		return j.done, err
	}
	keys := make([]search.Key, len(page.Points))
	for i, p := range page.Points {
		keys[i] = p.Key
	}
	known, err := j.r.Get(ctx, there, keys, search.Fields{})
	if err != nil {
		return j.done, err
	}
	versions := make(map[search.Key]search.Version, len(known))
	for _, p := range known {
		versions[p.Key] = p.Version
	}
	var differ []search.Key
	for _, p := range page.Points {
		if v, ok := versions[p.Key]; !ok || at.Stage == stageCopy && v < p.Version {
			differ = append(differ, p.Key)
		}
	}
	if err := j.carry(ctx, differ); err != nil {
		return j.done, err
	}
	j.done.Seen = len(page.Points)
	if page.More && len(keys) > 0 {
		at.After = keys[len(keys)-1]
	} else {
		at.Stage, at.After = at.Stage+1, search.Key{}
	}
	j.done.Cursor = at.String()
	return j.done, nil
}

// catchUp carries over what was written meanwhile, and swaps once little of it is left. What counts as little
// grows with the rounds, so that it ends also where points are written faster than they are embedded.
func (j *reembedding) catchUp(ctx context.Context, at seamAt) (Reembedded, error) {
	if j.follower.size() > lastMile<<min(at.Rounds/2, 20) {
		more, err := j.carryNoted(ctx)
		if at.Rounds++; err == nil && more {
			j.done.Cursor = at.String()
			return j.done, nil
		}
		if err != nil {
			return j.done, err
		}
	}
	if !j.Swap {
		return j.done, nil
	}
	return j.done, j.swap(ctx)
}

// carryNoted carries over a page of what was written meanwhile, and reports whether there may be more.
func (j *reembedding) carryNoted(ctx context.Context) (more bool, err error) {
	keys := j.follower.take(j.Limit)
	if err := j.carry(ctx, keys); err != nil {
		j.follower.back(keys)
		return true, err
	}
	j.done.Seen += len(keys)
	return len(keys) > 0, nil
}

// swap gives the name to the new collection while writes wait.
func (j *reembedding) swap(ctx context.Context) error {
	resume := j.follower.hold()
	defer resume()
	if err := j.r.commits.drain(ctx); err != nil { // all writes that are noted
		return err
	}
	for more := true; more; {
		var err error
		if more, err = j.carryNoted(ctx); err != nil {
			return err
		}
	}
	if j.follower.lossy() {
		j.done.Cursor = seamAt{Follower: j.follower.id}.String() // the next step starts again
		return nil
	}
	if err := j.r.edit(j.rename); err != nil {
		return err
	}
	j.done.Swapped = true
	j.r.follows.end(j.from.Name)
	if j.from.Name != j.Collection {
		return nil
	}
	j.r.forget(j.from.Name)
	return j.dropLeftovers(ctx, j.from.Name)
}

// rename lets the name that was asked for stand for the new collection; with a collection's own name
// all its aliases follow.
func (j *reembedding) rename(m *shardmap.Map) (*shardmap.Map, error) {
	if j.from.Name != j.Collection {
		return m.WithAlias(j.Collection, j.into.Name)
	}
	names := []string{j.Collection}
	for alias, target := range m.Aliases() {
		if target == j.from.Name {
			names = append(names, alias)
		}
	}
	m, err := m.WithoutCollection(j.from.Name)
	for _, name := range names {
		if err == nil {
			m, err = m.WithAlias(name, j.into.Name)
		}
	}
	return m, err
}

// dropLeftovers drops the points of a collection that has given its name away, once no question is on its way to them.
func (j *reembedding) dropLeftovers(ctx context.Context, name string) error {
	if target, ok := j.r.Aliases()[name]; !ok || !j.Replace || target != j.done.Into {
		return nil
	}
	if err := j.r.reads.drain(ctx); err != nil {
		return err
	}
	if err := j.r.everywhere(ctx, search.Batch{Collection: name, Drop: true}); err != nil {
		return fmt.Errorf("%q stands for %q now, but its old points are still there: %w", name, j.done.Into, err)
	}
	return nil
}

// carry makes the new collection have some points as the old one has them: embedded anew, or not at all.
//
// It never undoes a write: points keep their version, and what is deleted gets one that was taken before it was read,
// with all writes of lower versions over.
func (j *reembedding) carry(ctx context.Context, keys []search.Key) error {
	if len(keys) == 0 {
		return nil
	}
	first := j.r.clock.next(len(keys))
	if err := j.r.commits.drain(ctx); err != nil {
		return err
	}
	points, err := j.r.Get(ctx, j.from.Name, keys, search.Fields{Text: true, Meta: true, Vector: true})
	if err != nil {
		return err
	}
	b := search.Batch{Upserts: points}
	there := make(map[search.Key]bool, len(points))
	for _, p := range points {
		there[p.Key] = true
	}
	for i, k := range keys {
		if !there[k] {
			b.Deletes = append(b.Deletes, search.Tombstone{Key: k, Version: first.at(i)})
		}
	}
	if err := j.embed(ctx, b.Upserts); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, j.r.cfg.WriteTimeout)
	defer cancel()
	written, err := j.r.writeAll(ctx, j.into, func() search.Batch { return b })
	j.r.clock.advance(written.Newer)
	if err == nil {
		j.done.Embedded, j.done.Deleted = j.done.Embedded+len(b.Upserts), j.done.Deleted+len(b.Deletes)
	}
	return err
}

// embed gives points the vectors of their texts in the new space.
func (j *reembedding) embed(ctx context.Context, points []search.Point) error {
	if len(points) == 0 {
		return nil
	}
	texts := make([]string, len(points))
	for i, p := range points {
		if texts[i] = p.Text; p.Text == "" {
			return fault.New(fault.Invalid, "point %q has no text to embed: give it one, or delete it", p.ID)
		}
	}
	v, err := j.r.embed(ctx, j.into, embed.Batch{Texts: texts, Task: embed.DocumentTask, Bulk: true})
	if err != nil {
		return err
	}
	for i := range points {
		points[i].Dense = v.Row(i)
	}
	return j.r.inWords(j.into, points)
}

func (s seamAt) String() string {
	data, err := json.Marshal(s)
	if err != nil {
		panic(err) // a defect: it holds strings and numbers
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

func openSeamAt(cursor string) (s seamAt, err error) {
	if cursor == "" {
		return s, nil
	}
	data, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil || s.Stage < stageCopy || s.Stage > stageCatch || s.Rounds < 0 {
		return s, fault.BadField("/cursor", "is none that a reembedding gave")
	}
	return s, nil
}
