package pgvector

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/wellformed"
	"github.com/lanewise/lanewise/search"
)

// Limits, of PostgreSQL and pgvector where nothing else is said.
const (
	longestIdentifier = 63
	longestName       = 1024 // bytes of a collection's name; our own
	longestKey        = 2600 // bytes of tenant and id together: an index row has at most 2,704
	mostDims          = 16000
	mostIndexedDims   = 2000
	widest            = 1000     // the largest hnsw.ef_search
	largestText       = 64 << 20 // bytes; our own
	largestMeta       = 16 << 20 // bytes, also of its fields; our own
)

// storable reports whether a column of type text can hold s.
func storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// checkCollection validates a descriptor and writes its defaults out.
func (s *Store) checkCollection(c *search.Collection) error {
	most := mostDims
	if s.config.HNSW != nil {
		most = mostIndexedDims
	}
	switch {
	case c.Name == "" || len(c.Name) > longestName || !storable(c.Name):
		return fault.BadField("/create/name", "needs 1 to %d bytes of UTF-8 without NUL", longestName)
	case c.Dims < 1 || c.Dims > most:
		return fault.BadField("/create/dims", "is %d, it must be 1 to %d", c.Dims, most)
	case c.Metric != search.Cosine && c.Metric != search.Dot && c.Metric != search.Euclidean:
		return fault.BadField("/create/metric", "is %q, it must be cosine, dot or euclidean", c.Metric)
	}
	if c.Placement.By == "" {
		c.Placement.By = search.ByID
	}
	return nil
}

// checkBatch refuses batches of several kinds at once.
func checkBatch(b *search.Batch) error {
	switch {
	case b.Create != nil && (b.Drop || len(b.Upserts)+len(b.Deletes) > 0):
		return fault.BadField("/create", "stands alone in a batch")
	case b.Drop && len(b.Upserts)+len(b.Deletes) > 0:
		return fault.BadField("/drop", "stands alone in a batch")
	case b.Create != nil && b.Collection != "" && b.Collection != b.Create.Name:
		return fault.BadField("/create/name", "is %q, but the batch is for %q", b.Create.Name, b.Collection)
	}
	return nil
}

// within puts the place of a part before the field that err blames.
func within(at string, err error) error {
	if e, ok := errors.AsType[*fault.Error](err); ok {
		e.Field = at + e.Field // err was made for this call alone
	}
	return err
}

func checkKey(k search.Key) error {
	switch {
	case k.ID == "" || !storable(k.ID):
		return fault.BadField("/id", "must be UTF-8 without NUL and not empty: PostgreSQL cannot hold it")
	case !storable(k.Tenant):
		return fault.BadField("/tenant", "must be UTF-8 without NUL: PostgreSQL cannot hold it")
	case len(k.ID)+len(k.Tenant) > longestKey:
		return fault.BadField("/id", "has %d bytes with its tenant, PostgreSQL can index %d", len(k.ID)+len(k.Tenant), longestKey)
	}
	return nil
}

func checkPoint(dims int, p *search.Point) error {
	if err := checkKey(p.Key); err != nil {
		return err
	}
	if len(p.Dense) > 0 {
		if err := wellformed.Dense("/dense", dims, p.Dense); err != nil {
			return err
		}
	}
	switch {
	case !storable(p.Text) || len(p.Text) > largestText:
		return fault.BadField("/text", "must be at most %d MiB of UTF-8 without NUL: PostgreSQL cannot hold it", largestText>>20)
	case len(p.Meta) > largestMeta || !utf8.Valid(p.Meta):
		return fault.BadField("/meta", "must be at most %d MiB of UTF-8", largestMeta>>20)
	case len(p.Meta) > 0 && !wellformed.Object(p.Meta):
		return fault.BadField("/meta", "is not a JSON object")
	}
	return wellformed.Sparse("/sparse", p.Sparse)
}
