package local

// pack copies the rows that stand for a point into new chunks once they are the
// smaller part, so that memory and scans follow the number of points.
func (p *partDraft) pack() {
	if p.dead < sparseEnough || p.dead < p.points {
		return
	}
	packed := partDraft{by: p.by, name: p.name, dims: p.dims, cols: p.cols}
	packed.ids = p.ids
	moved := make([][]uint32, len(p.blocks))
	for j, b := range p.blocks {
		moved[j] = make([]uint32, b.n)
		for i := range b.n {
			moved[j][i] = nowhere
			if b.isLive(i) {
				packed.copyRow(b, i)
				moved[j][i] = packed.lastRow()
			}
		}
	}
	packed.words = p.words.moved(p.by, moved)
	*p = packed
}

func (p *partDraft) copyRow(from block, i int) {
	c, at := p.grow()
	copy(c.vector(at), from.vector(i))
	c.bare[at], c.worded[at] = from.bare[i], from.worded[i]
	s := slot{version: from.versions[i], record: from.records[i]}
	p.settle("", from.ids[i], s, from.docs[i])
	c.norms[at] = from.norms[i]
	for j := range c.columns {
		c.columns[j][at] = from.columns[j][i]
	}
}
