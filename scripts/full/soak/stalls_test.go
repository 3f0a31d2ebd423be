package main

import (
	"testing"
	"time"
)

func TestStalls_between(t *testing.T) {
	var s stalls
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	s.note(stall{at(100), at(110)})
	s.note(stall{at(200), at(202)})
	s.note(stall{at(204), at(206)})
	for name, c := range map[string]struct {
		from, to int
		want     float64
	}{"none": {190, 200, 0}, "both": {200, 208, 0.5}, "a part of one": {205, 207, 0.5}, "all of it": {200, 201, 1}, "forgotten": {100, 110, 0}} {
		if got := s.between(at(c.from), at(c.to)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
