package local

import (
	"cmp"
	"slices"
	"sort"
)

// fanout is the largest number of entries of one twig of a tree.
const fanout = 64

// tree is an immutable map in the order of its keys (strings: bytewise), a B+tree whose
// changes copy the path to the root, so that whoever holds an older value of the
// tree goes on reading it. Twigs that were copied for the same edit are changed
// in place. The zero tree is empty.
type tree[K cmp.Ordered, V any] struct {
	root *twig[K, V]
	size int
}

// edition marks the twigs that one edit made, and may therefore still change.
// It has a size because pointers to empty structs need not differ.
type edition struct{ _ byte }

// twig is one piece of a tree. A branch has kids, and keys[i] is not greater
// than any key below kids[i]; a leaf has values.
type twig[K cmp.Ordered, V any] struct {
	by   *edition
	keys []K
	vals []V
	kids []*twig[K, V]
}

// get returns the value at key.
func (t tree[K, V]) get(key K) (v V, ok bool) {
	w := t.root
	for w != nil {
		i, found := slices.BinarySearch(w.keys, key)
		if w.kids == nil {
			if found {
				return w.vals[i], true
			}
			return v, false
		}
		if !found {
			i = max(i-1, 0)
		}
		w = w.kids[i]
	}
	return v, false
}

// ascend calls yield with every key not smaller than from, in order, until it
// returns false.
func (t tree[K, V]) ascend(from K, yield func(key K, v V) bool) {
	if t.root != nil {
		t.root.ascend(from, yield)
	}
}

func (w *twig[K, V]) ascend(from K, yield func(K, V) bool) bool {
	i, found := slices.BinarySearch(w.keys, from)
	if w.kids == nil {
		for ; i < len(w.keys); i++ {
			if !yield(w.keys[i], w.vals[i]) {
				return false
			}
		}
		return true
	}
	if !found {
		i = max(i-1, 0)
	}
	for ; i < len(w.kids); i++ {
		if !w.kids[i].ascend(from, yield) {
			return false
		}
	}
	return true
}

// put sets the value at key.
func (t *tree[K, V]) put(by *edition, key K, v V) {
	if t.root == nil {
		t.root = &twig[K, V]{by: by}
	}
	root := t.root.own(by)
	if root.put(by, key, v) {
		t.size++
	}
	if len(root.keys) > fanout {
		right := root.split(by)
		root = &twig[K, V]{by: by, keys: []K{root.keys[0], right.keys[0]}, kids: []*twig[K, V]{root, right}}
	}
	t.root = root
}

// own returns w, or a copy of it if another edit made w.
func (w *twig[K, V]) own(by *edition) *twig[K, V] {
	if w.by == by {
		return w
	}
	c := &twig[K, V]{by: by, keys: append(make([]K, 0, len(w.keys)+8), w.keys...)}
	if w.kids != nil {
		c.kids = append(make([]*twig[K, V], 0, len(w.kids)+8), w.kids...)
	} else {
		c.vals = append(make([]V, 0, len(w.vals)+8), w.vals...)
	}
	return c
}

// put sets the value below w, which the edit owns, and reports whether the key is new.
func (w *twig[K, V]) put(by *edition, key K, v V) bool {
	i, found := slices.BinarySearch(w.keys, key)
	if w.kids == nil {
		if found {
			w.vals[i] = v
			return false
		}
		w.keys = slices.Insert(w.keys, i, key)
		w.vals = slices.Insert(w.vals, i, v)
		return true
	}
	if !found {
		i = max(i-1, 0)
	}
	kid := w.kids[i].own(by)
	w.kids[i] = kid
	added := kid.put(by, key, v)
	w.keys[i] = kid.keys[0]
	if len(kid.keys) > fanout {
		right := kid.split(by)
		w.keys = slices.Insert(w.keys, i+1, right.keys[0])
		w.kids = slices.Insert(w.kids, i+1, right)
	}
	return added
}

// split moves the upper half of w into a new twig.
func (w *twig[K, V]) split(by *edition) *twig[K, V] {
	at := len(w.keys) / 2
	right := &twig[K, V]{by: by, keys: append(make([]K, 0, fanout+1), w.keys[at:]...)}
	clear(w.keys[at:])
	w.keys = w.keys[:at]
	if w.kids != nil {
		right.kids = append(make([]*twig[K, V], 0, fanout+1), w.kids[at:]...)
		clear(w.kids[at:])
		w.kids = w.kids[:at]
	} else {
		right.vals = append(make([]V, 0, fanout+1), w.vals[at:]...)
		clear(w.vals[at:])
		w.vals = w.vals[:at]
	}
	return right
}

// remove takes key out. Twigs may be left short, but never empty.
func (t *tree[K, V]) remove(by *edition, key K) {
	if _, ok := t.get(key); !ok {
		return
	}
	t.size--
	root := t.root.own(by)
	root.remove(by, key)
	for len(root.kids) == 1 {
		root = root.kids[0]
	}
	t.root = root
	if len(root.keys) == 0 {
		t.root = nil
	}
}

// remove takes out a key that is below w, which the edit owns.
func (w *twig[K, V]) remove(by *edition, key K) {
	i := sort.Search(len(w.keys), func(i int) bool { return w.keys[i] > key }) - 1
	if w.kids == nil {
		w.keys = slices.Delete(w.keys, i, i+1)
		w.vals = slices.Delete(w.vals, i, i+1)
		return
	}
	kid := w.kids[i].own(by)
	w.kids[i] = kid
	kid.remove(by, key)
	if len(kid.keys) > 0 {
		w.keys[i] = kid.keys[0]
		return
	}
	w.keys = slices.Delete(w.keys, i, i+1)
	w.kids = slices.Delete(w.kids, i, i+1)
}
