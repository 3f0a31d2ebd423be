package data

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
)

// The largest sets that are read: what is behind a header that lies is never allocated.
const (
	maxDims    = 1 << 16
	maxNumbers = 1 << 31
)

// fvecs are rows of a little-endian int32, the dims, and that many float32.
func fvecs(in *bufio.Reader) ([][]float32, error) {
	return vecs(in, 4, func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) })
}

// bvecs are the same of bytes.
func bvecs(in *bufio.Reader) ([][]float32, error) {
	return vecs(in, 1, func(b []byte) float32 { return float32(b[0]) })
}

func vecs(in *bufio.Reader, size int, number func([]byte) float32) (rows [][]float32, err error) {
	for {
		var head [4]byte
		if _, err := io.ReadFull(in, head[:]); errors.Is(err, io.EOF) {
			return rows, nil
		} else if err != nil {
			return nil, err
		}
		dims := int(int32(binary.LittleEndian.Uint32(head[:])))
		switch {
		case dims < 1 || dims > maxDims:
			return nil, fmt.Errorf("row %d states %d dims", len(rows), dims)
		case len(rows) > 0 && dims != len(rows[0]):
			return nil, fmt.Errorf("row %d has %d dims, the first one has %d", len(rows), dims, len(rows[0]))
		}
		row, err := numbers(in, dims, size, number)
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", len(rows), err)
		}
		rows = append(rows, row)
	}
}

func numbers(in io.Reader, n, size int, number func([]byte) float32) ([]float32, error) {
	raw := make([]byte, n*size)
	if _, err := io.ReadFull(in, raw); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	row := make([]float32, n)
	for i := range row {
		row[i] = number(raw[i*size:])
	}
	return row, nil
}

// npy reads a matrix of float32 or float64 in C order; see numpy.lib.format.
func npy(in *bufio.Reader) ([][]float32, error) {
	header, err := npyHeader(in)
	if err != nil {
		return nil, err
	}
	// The header is a Python literal whose keys may stand in any order.
	kind := regexp.MustCompile(`'descr':\s*'<(f4|f8)'`).FindSubmatch(header)
	shape := regexp.MustCompile(`'shape':\s*\((\d+),\s*(\d+),?\)`).FindSubmatch(header)
	order := regexp.MustCompile(`'fortran_order':\s*False`).Match(header)
	if kind == nil || shape == nil || !order {
		return nil, fmt.Errorf("must be a matrix of float32 or float64, little-endian and in C order, not %.100q", header)
	}
	n, err1 := strconv.Atoi(string(shape[1]))
	dims, err2 := strconv.Atoi(string(shape[2]))
	if err1 != nil || err2 != nil || dims < 1 || dims > maxDims || n > maxNumbers/dims {
		return nil, fmt.Errorf("the shape %s is too large", shape[0])
	}
	size, number := 4, func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }
	if string(kind[1]) == "f8" {
		size, number = 8, func(b []byte) float32 { return float32(math.Float64frombits(binary.LittleEndian.Uint64(b))) }
	}
	var rows [][]float32
	for i := range n {
		row, err := numbers(in, dims, size, number)
		if err != nil {
			return nil, fmt.Errorf("row %d of %d: %w", i, n, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func npyHeader(in io.Reader) ([]byte, error) {
	var magic [8]byte
	if _, err := io.ReadFull(in, magic[:]); err != nil || string(magic[:6]) != "\x93NUMPY" {
		return nil, errors.New("is no npy file")
	}
	length := 2 // bytes of the header's length
	if magic[6] >= 2 {
		length = 4
	}
	var raw [4]byte
	if _, err := io.ReadFull(in, raw[:length]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(raw[:])
	if size > 1<<16 {
		return nil, fmt.Errorf("states a header of %d bytes", size)
	}
	header := make([]byte, size)
	_, err := io.ReadFull(in, header)
	return header, err
}

// WriteFvecs writes rows as fvecs.
func WriteFvecs(w io.Writer, rows [][]float32) error {
	out := bufio.NewWriter(w)
	var raw []byte
	for _, row := range rows {
		raw = binary.LittleEndian.AppendUint32(raw[:0], uint32(len(row)))
		for _, x := range row {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
		}
		if _, err := out.Write(raw); err != nil {
			return err
		}
	}
	return out.Flush()
}
