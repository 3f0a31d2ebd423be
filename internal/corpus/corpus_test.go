package corpus

import (
	"errors"
	"testing"
)

// collect reads a sequence to its end and sorts what it yields.
func collect(t *testing.T, docs Documents) (out []Document, bad []*BadLine, skipped []*Skipped) {
	t.Helper()
	for d, err := range docs {
		var line *BadLine
		var skip *Skipped
		switch {
		case err == nil:
			out = append(out, d)
		case errors.As(err, &line):
			bad = append(bad, line)
		case errors.As(err, &skip):
			skipped = append(skipped, skip)
		default:
			t.Fatalf("read: %v", err)
		}
	}
	return out, bad, skipped
}

// stopsEarly proves that a consumer may leave after the first item.
func stopsEarly(t *testing.T, docs Documents) {
	t.Helper()
	n := 0
	for _, err := range docs {
		n++
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		break
	}
	if n != 1 {
		t.Fatalf("%d items before the break, want 1", n)
	}
}
