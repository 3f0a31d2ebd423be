package shardmap

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// String returns the plan, also one that was only read from JSON, for people: totals, then a table of the shards, then the tenants that lose a
// shard they were put on by name.
func (p *Plan) String() string {
	var b strings.Builder
	p.writeTotals(&b)
	p.writeShards(&b)
	for _, t := range p.Tenants {
		fmt.Fprintf(&b, "tenant %q of %s: %s to %s\n", t.Tenant, t.Collection, strings.Join(t.From, ", "), strings.Join(t.To, ", "))
	}
	return b.String()
}

func (p *Plan) writeTotals(b *strings.Builder) {
	if p.Partitions == 0 && len(p.Tenants) == 0 {
		fmt.Fprintf(b, "nothing moves: the shards have the placement of epoch %d\n", p.Epoch)
	} else {
		fmt.Fprintf(b, "from epoch %d to %d: %d of %d partitions move (%.1f %%)",
			p.Epoch, p.Epoch+1, p.Partitions, partitions, 100*float64(p.Partitions)/partitions)
		if p.counted() {
			fmt.Fprintf(b, ", %d points, %s", p.Points, size(p.Bytes))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(b, "largest shard over its fair share: %.3f before, %.3f after\n\n", p.Before, p.After)
}

// counted reports whether any point was counted.
func (p *Plan) counted() bool {
	for _, s := range p.Shards {
		if s.PointsBefore > 0 || s.PointsAfter > 0 {
			return true
		}
	}
	return false
}

func (p *Plan) writeShards(b *strings.Builder) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	counted := p.counted()
	head := "shard\tweight\tpartitions\tafter\tin\tout\t"
	if counted {
		head += "points\tafter\tin\tout\tbytes in\tbytes out\t"
	}
	_, _ = fmt.Fprintln(w, head) // writing to a builder cannot fail
	for _, s := range p.Shards {
		row := fmt.Sprintf("%s\t%s\t%d\t%d\t%d\t%d\t", s.Name, s.role(), s.Before, s.After, s.In, s.Out)
		if counted {
			row += fmt.Sprintf("%d\t%d\t%d\t%d\t%s\t%s\t", s.PointsBefore, s.PointsAfter, s.PointsIn, s.PointsOut, size(s.BytesIn), size(s.BytesOut))
		}
		_, _ = fmt.Fprintln(w, row)
	}
	_ = w.Flush()
}

// role is a shard's weight, and whether it joins or leaves.
func (s ShardChange) role() string {
	switch {
	case s.Weight == 0:
		return "leaves"
	case s.Joins:
		return fmt.Sprintf("joins, %g", s.Weight)
	default:
		return fmt.Sprintf("%g", s.Weight)
	}
}

// size renders a number of bytes.
func size(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	x, unit := float64(n), 0
	for ; x >= 1000 && unit < len(units)-1; unit++ {
		x /= 1000
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", x, units[unit])
}
