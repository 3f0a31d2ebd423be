package router

import (
	"context"
	"slices"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/search"
)

// vectorize embeds the texts of the plan's legs, those of one space together.
// It may use three quarters of the time there is: the shards answer sooner than most models.
func (r *Router) vectorize(ctx context.Context, p *plan, rec *recorder) error {
	if !slices.ContainsFunc(p.legs, leg.toEmbed) {
		return nil
	}
	ctx, cancel := shareOf(ctx, 0.75)
	defer cancel()
	for i := range p.legs {
		if !p.legs[i].toEmbed() {
			continue
		}
		c := p.legs[i].collection
		var same []int // legs of this space without a vector
		batch := embed.Batch{Task: embed.QueryTask}
		for j := i; j < len(p.legs); j++ {
			if l := p.legs[j]; l.toEmbed() && l.collection.Space == c.Space {
				same, batch.Texts = append(same, j), append(batch.Texts, l.Text)
			}
		}
		v, err := r.embed(ctx, c, batch)
		if err != nil {
			return err
		}
		for row, j := range same {
			p.legs[j].Vector = v.Row(row)
		}
	}
	rec.stage("embed")
	return nil
}

// queries groups the plan's legs by collection: one query, one fan-out, for each.
// at says which legs of the plan a query holds.
func (p *plan) queries(depth int, fields search.Fields) (queries []search.Query, at [][]int) {
	byName := map[string]int{}
	for i, l := range p.legs {
		if l.empty() {
			continue
		}
		q, ok := byName[l.collection.Name]
		if !ok {
			q = len(queries)
			byName[l.collection.Name] = q
			at = append(at, nil)
			queries = append(queries, search.Query{
				Collection: l.collection.Name, Tenant: p.Tenant, Filter: p.Filter, Fields: fields, Epoch: p.topo.m.Epoch(), Complete: p.completes(),
			})
		}
		queries[q].Legs = append(queries[q].Legs, search.Leg{Dense: l.Vector, Sparse: l.Sparse, K: depth, EF: p.EF, Exact: p.Exact})
		at[q] = append(at[q], i)
	}
	return queries, at
}
