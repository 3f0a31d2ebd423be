package local

import (
	"context"

	"github.com/lanewise/lanewise/search"
)

// walk collects one page in key order.
type walk struct {
	ctx   context.Context //nolint:containedctx // lives for one call of Scroll
	scan  *search.Scan
	sieve *sieve
	page  search.Page
	seen  int
	err   error
}

// collection walks through the tenants that the scan asks for.
func (w *walk) collection(c *collection) {
	if !w.scan.AllTenants {
		if p, ok := c.tenants.get(w.scan.Tenant); ok {
			w.tenant(w.scan.Tenant, p)
		}
		return
	}
	c.tenants.ascend(w.scan.After.Tenant, w.tenant)
}

// tenant walks through one tenant and reports whether to go on.
func (w *walk) tenant(tenant string, p *part) bool {
	from := ""
	switch after := w.scan.After; {
	case tenant == after.Tenant:
		from = after.ID
	case tenant < after.Tenant:
		return true
	}
	more := true
	p.ids.ascend(from, func(id string, at slot) bool {
		if !at.deleted() && (id > from || from == "") {
			more = w.take(tenant, p.blocks[at.block], int(at.row))
		}
		return more
	})
	return more
}

// take puts a point on the page if it passes, and reports whether to go on.
func (w *walk) take(tenant string, b block, row int) bool {
	if w.seen++; w.seen%256 == 0 && w.ctx.Err() != nil {
		w.err = context.Cause(w.ctx)
		return false
	}
	ok := true
	if !w.scan.Filter.IsZero() {
		ok, w.err = w.sieve.look(b, row)
	}
	switch {
	case w.err != nil:
		return false
	case !ok:
		return true
	case len(w.page.Points) == w.scan.Limit:
		w.page.More = true
		return false
	}
	var p search.Point
	p, w.err = b.point(tenant, row, w.scan.Fields, w.sieve.shelf)
	w.page.Points = append(w.page.Points, p)
	return w.err == nil
}
