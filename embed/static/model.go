package static

import (
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// modelFile is made by distil/distil.py, which documents the layout.
//
//go:embed model.bin
var modelFile []byte

const (
	magic         = "LWSM"
	formatVersion = 1
	headerSize    = 32
	checksumAt    = 24
	unknownToken  = 1 // the id of [UNK]
)

// errDamaged is the class of everything that can be wrong with a model file.
var errDamaged = errors.New("model file is damaged")

// model is a model file in the form that embedding needs. Nothing of it changes
// after it was read.
type model struct {
	vocabulary *vocabulary
	characters *characters
	weights    []byte // uint16 for each row
	rows       []byte // Dims bytes for each row, 128 more than the signed value
}

// header is the fixed part of a model file.
type header struct {
	rows, vocabulary, characters int // a number, and two sizes in bytes
}

// readModel checks data and builds the tables. The model keeps parts of data.
func readModel(data []byte) (*model, error) {
	h, err := readHeader(data)
	if err != nil {
		return nil, err
	}
	rest := data[headerSize:]
	cut := func(n int) (part []byte) {
		part, rest = rest[:n:n], rest[n:]
		return part
	}
	words, runs := cut(h.vocabulary), cut(h.characters)
	m := &model{weights: cut(2 * h.rows), rows: rest}
	if m.vocabulary, err = newVocabulary(string(words), h.rows); err != nil {
		return nil, err
	}
	if m.characters, err = newCharacters(runs); err != nil {
		return nil, err
	}
	return m, nil
}

// readHeader checks that data is a whole model file of the format and the
// dimensions that this program knows.
func readHeader(data []byte) (header, error) {
	if len(data) < headerSize || string(data[:4]) != magic {
		return header{}, fmt.Errorf("%w: no header", errDamaged)
	}
	field := func(at int) int { return int(binary.LittleEndian.Uint32(data[at:])) }
	if v := field(4); v != formatVersion {
		return header{}, fmt.Errorf("model file has format %d, this program reads %d", v, formatVersion)
	}
	h := header{rows: field(8), vocabulary: field(16), characters: field(20)}
	if d := field(12); d != Dims {
		return header{}, fmt.Errorf("model file has %d dimensions, this program reads %d", d, Dims)
	}
	if want := headerSize + h.vocabulary + h.characters + h.rows*(2+Dims); len(data) != want {
		return header{}, fmt.Errorf("%w: %d bytes instead of %d", errDamaged, len(data), want)
	}
	sum := crc32.ChecksumIEEE(data[:checksumAt])
	sum = crc32.Update(sum, crc32.IEEETable, data[checksumAt+4:])
	if sum != uint32(field(checksumAt)) {
		return header{}, fmt.Errorf("%w: checksum %08x instead of %08x", errDamaged, sum, field(checksumAt))
	}
	return h, nil
}

// weight returns the weight of a row.
func (m *model) weight(id uint32) uint64 {
	return uint64(binary.LittleEndian.Uint16(m.weights[2*id:]))
}

// row returns the numbers of a row, 128 more than the signed values.
func (m *model) row(id uint32) *[Dims]byte { return (*[Dims]byte)(m.rows[int(id)*Dims:]) }

// tokenize appends the ids of the tokens of text, as the reference tokenizer
// finds them: normalise, split, look up.
func (m *model) tokenize(s *splitter, dst []uint32, text string) []uint32 {
	for s.start(text); s.next(m.characters); {
		word, ok := s.known()
		if !ok {
			dst = append(dst, unknownToken)
			continue
		}
		dst = m.vocabulary.pieces(dst, word)
	}
	return dst
}
