package wire

import (
	"time"

	"github.com/lanewise/lanewise/search"
)

func (r *reader) batch(b *search.Batch) {
	r.object(batchFields, func(i int) {
		switch i {
		case 0:
			b.Collection = r.text()
		case 1:
			b.Epoch = r.unsigned()
		case 2:
			if c, ok := r.collection(); ok {
				b.Create = &c
			}
		case 3:
			b.Drop = r.bool()
		case 4:
			r.points(&b.Upserts)
		case 5:
			r.tombstones(b)
		}
	})
}

func (r *reader) collection() (search.Collection, bool) {
	if r.null() {
		return search.Collection{}, false
	}
	raw := r.raw()
	if r.err != nil {
		return search.Collection{}, false
	}
	var c Collection
	if err := unmarshal([]byte(raw), &c); err != nil { // no defaults and no checks: one to one
		r.adopt(err)
	}
	return c.Descriptor(), true
}

func (r *reader) points(points *[]search.Point) {
	r.array(func(int) {
		*points = append(*points, search.Point{})
		p := &(*points)[len(*points)-1]
		r.object(pointFields, func(i int) { r.pointField(i, p) })
		r.checkSparse(&p.Sparse)
	})
}

func (r *reader) tombstones(b *search.Batch) {
	r.array(func(int) {
		var d search.Tombstone
		r.object(tombstoneFields, func(i int) {
			switch i {
			case 0:
				d.Tenant = r.text()
			case 1:
				d.ID = r.text()
			case 2:
				d.Version = search.Version(r.unsigned())
			}
		})
		b.Deletes = append(b.Deletes, d)
	})
}

func (r *reader) written(a *search.Written) {
	r.object(writtenFields, func(i int) {
		switch i {
		case 0:
			a.Applied = int(r.integer())
		case 1:
			a.Newer = search.Version(r.unsigned())
		case 2:
			a.Lag = time.Duration(r.integer())
		}
	})
}

func (r *reader) keys(k *Keys) {
	r.object(keysFields, func(i int) {
		switch i {
		case 0:
			k.Collection = r.text()
		case 1:
			k.Keys = r.keyList()
		case 2:
			r.fields(&k.Fields)
		}
	})
}

func (r *reader) scan(s *search.Scan) {
	r.object(scanFields, func(i int) {
		switch i {
		case 0:
			s.Collection = r.text()
		case 1:
			s.Tenant = r.text()
		case 2:
			s.AllTenants = r.bool()
		case 3:
			s.Filter = r.filter()
		case 4:
			r.key1(&s.After)
		case 5:
			s.Limit = int(r.integer())
		case 6:
			r.fields(&s.Fields)
		}
	})
}

func (r *reader) page(p *search.Page) {
	r.object(pageFields, func(i int) {
		switch i {
		case 0:
			r.points(&p.Points)
		case 1:
			p.More = r.bool()
		}
	})
}

func (r *reader) stats(stats *[]search.Stats) {
	r.object(statsFields, func(int) {
		r.array(func(int) {
			var s search.Stats
			r.object(statFields, func(i int) {
				switch i {
				case 0:
					s.Collection, _ = r.collection()
				case 1:
					s.Points = int(r.integer())
				case 2:
					s.Bytes = r.integer()
				case 3:
					s.Newest = search.Version(r.unsigned())
				case 4:
					s.Digest = r.unsigned()
				case 5:
					s.DigestBits = int(r.integer())
				}
			})
			*stats = append(*stats, s)
		})
	})
}
