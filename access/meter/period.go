package meter

import (
	"encoding/binary"
	"math"
	"time"
)

// Use is what has been used.
type Use struct {
	Tokens int64
	Cost   float64 // in the currency of the models' prices
}

// spell is a day or a month, by its number, and what was used in it.
type spell struct {
	number int64
	Use
}

// spells are the two days, or months, that were seen last, the current one in front. With one of them a clock that
// slips back over midnight, or jumps ahead and is put right, would have the budget begin anew.
type spells [2]spell

// at makes a day or month the current one.
func (s *spells) at(number int64) *spell {
	switch number {
	case s[0].number:
	case s[1].number:
		s[0], s[1] = s[1], s[0]
	default:
		s[0], s[1] = spell{number: number}, s[0]
	}
	return &s[0]
}

// dayOf and monthOf number the days and months of UTC.
func dayOf(t time.Time) int64 {
	y, m, d := t.UTC().Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / int64(24*time.Hour/time.Second)
}

func monthOf(t time.Time) int64 {
	y, m, _ := t.UTC().Date()
	return int64(y)*12 + int64(m)
}

// nextDay and nextMonth are when the next one begins.
func nextDay(t time.Time) time.Time {
	y, m, d := t.UTC().Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC)
}

func nextMonth(t time.Time) time.Time {
	y, m, _ := t.UTC().Date()
	return time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC)
}

// record is what is kept of an account: its days and months.
type record struct{ days, months spells }

// recordSize is that of a record in the file: a version, and four spells of three numbers.
const recordSize = 1 + 4*3*8

const recordVersion = 1

func (r *record) encode() []byte {
	out := make([]byte, 1, recordSize)
	out[0] = recordVersion
	for _, s := range [...]spell{r.days[0], r.days[1], r.months[0], r.months[1]} {
		out = binary.LittleEndian.AppendUint64(out, uint64(s.number)) //nolint:gosec // read back the same way
		out = binary.LittleEndian.AppendUint64(out, uint64(s.Tokens)) //nolint:gosec // read back the same way
		out = binary.LittleEndian.AppendUint64(out, math.Float64bits(s.Cost))
	}
	return out
}

// decode reads a record. One that makes no sense, or is of another version, counts as none.
func decode(data []byte) (r record, ok bool) {
	if len(data) != recordSize || data[0] != recordVersion {
		return record{}, false
	}
	data = data[1:]
	for _, s := range [...]*spell{&r.days[0], &r.days[1], &r.months[0], &r.months[1]} {
		s.number = int64(binary.LittleEndian.Uint64(data))     //nolint:gosec // written the same way
		s.Tokens = int64(binary.LittleEndian.Uint64(data[8:])) //nolint:gosec // written the same way
		s.Cost = math.Float64frombits(binary.LittleEndian.Uint64(data[16:]))
		if s.Tokens < 0 || !(s.Cost >= 0) || math.IsInf(s.Cost, 0) {
			return record{}, false
		}
		data = data[24:]
	}
	return r, true
}
