package static

import (
	"encoding/binary"
	"math"
)

// sum adds weighted rows without a rounding error. Four words of 64 bits hold
// eight numbers, two in each, so that one multiplication serves two dimensions.
type sum struct {
	lanes  [Dims / 8][4]uint64
	totals [Dims]int64
}

const (
	laneMask = 0x000000FF_000000FF
	bias     = 128 // what the stored bytes are above the signed values
	// A product is below 2^24, so 256 of them fit a lane of 32 bits.
	laneRows = 256
)

// vector writes to out the sum of the rows of the tokens, brought to length 1,
// or zeros if no token is known.
func (m *model) vector(out *[Dims]float32, s *sum, tokens []uint32) {
	s.totals = [Dims]int64{}
	for len(tokens) > 0 {
		n := min(len(tokens), laneRows)
		s.add(m, tokens[:n])
		tokens = tokens[n:]
	}
	s.normalized(out)
}

// add adds the rows of at most laneRows tokens. Unknown words count nothing.
func (s *sum) add(m *model, tokens []uint32) {
	var weights uint64
	s.lanes = [Dims / 8][4]uint64{}
	for _, id := range tokens {
		if id == unknownToken {
			continue
		}
		w := m.weight(id)
		weights += w
		s.addRow(m.row(id), w)
	}
	s.collect(int64(weights * bias))
}

// addRow adds w times the stored bytes of row to the lanes.
func (s *sum) addRow(row *[Dims]byte, w uint64) {
	for i := range s.lanes {
		x := binary.LittleEndian.Uint64(row[i*8 : i*8+8])
		l := &s.lanes[i]
		l[0] += (x & laneMask) * w
		l[1] += (x >> 8 & laneMask) * w
		l[2] += (x >> 16 & laneMask) * w
		l[3] += (x >> 24 & laneMask) * w
	}
}

// collect moves the lanes, less the bias that is in each, to the totals.
func (s *sum) collect(bias int64) {
	for i := range s.lanes {
		t := s.totals[i*8 : i*8+8]
		for j, l := range s.lanes[i] {
			t[j] += int64(l&math.MaxUint32) - bias
			t[j+4] += int64(l>>32) - bias
		}
	}
}

// normalized writes the totals, brought to length 1. The squares are converted
// one by one, which forbids fused multiplication: every processor rounds alike.
func (s *sum) normalized(out *[Dims]float32) {
	var square float64
	for _, t := range s.totals {
		square += float64(float64(t) * float64(t))
	}
	if square == 0 {
		*out = [Dims]float32{}
		return
	}
	length := math.Sqrt(square)
	for i, t := range s.totals {
		out[i] = float32(float64(t) / length)
	}
}
