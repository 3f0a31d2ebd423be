package main

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func TestTrend(t *testing.T) {
	for name, c := range map[string]struct {
		y           []float64
		grown, mean float64
	}{
		"flat": {[]float64{5, 5, 5}, 0, 5}, "line": {[]float64{1, 2, 3, 4, 5, 6, 7, 8, 9}, 6, 5}, "peaks": {[]float64{1, 1, 9, 1, 1, 1, 1, 1, 2}, 0, 2}, "one": {[]float64{7}, 0, 7},
	} {
		if grown, mean := trend(c.y); math.Abs(grown-c.grown) > 1e-9 || math.Abs(mean-c.mean) > 1e-9 {
			t.Errorf("%s: grew %v at %v, want %v at %v", name, grown, mean, c.grown, c.mean)
		}
	}
}

// Each thing that is not as it should be fails the run by itself.
func TestFindings_print(t *testing.T) {
	good := func() *findings {
		f := &findings{lasts: time.Minute, written: 5}
		for range 10 {
			f.search(true, nil, 0)
			f.sample(1<<20, 50)
		}
		return f
	}
	later := func(f *findings, heap, goroutines float64) {
		for range 10 {
			f.sample(heap, goroutines)
		}
	}
	var out bytes.Buffer
	if err := good().print(&out); err != nil {
		t.Fatal(err)
	}
	f := good()
	f.write(errors.New("503 Service Unavailable: a replica is away"))
	if err := f.print(&out); err != nil {
		t.Errorf("an explained error: %v", err)
	}
	f.search(false, errors.New("504 context deadline exceeded"), 0.5)
	if err := f.print(&out); err != nil || f.starved != 1 {
		t.Errorf("%v, %d searches were starved; want one, which the machine explains", err, f.starved)
	}
	for want, spoil := range map[string]func(f *findings){
		"wrong or incomplete":  func(f *findings) { f.search(false, nil, 0) },
		"searches that failed": func(f *findings) { f.search(false, errors.New("500 x"), 0) },
		"that failed":          func(f *findings) { f.search(false, errors.New("504 context deadline exceeded"), 0.1) },
		"unexplained":          func(f *findings) { f.write(errors.New("500 x")) },
		"writes lost":          func(f *findings) { f.lost = 1 },
		"too many":             func(f *findings) { f.doubled = 1 },
		"shed":                 func(f *findings) { f.search(false, errors.New("429 busy"), 0) },
		"heap":                 func(f *findings) { later(f, 1<<30, 50) },
		"goroutines":           func(f *findings) { later(f, 1<<20, 1000) },
	} {
		f := good()
		spoil(f)
		if err := f.print(&out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
