package limit

import (
	"testing"
	"testing/synctest"
	"time"
)

// looks counts how often a place in line was asked to look.
type looks struct{ n int }

func (l *looks) look() { l.n++ }

func TestLine_asksTheFirstAndPutsItBackToTheFront(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line Line
		var a, b looks
		first, second := line.Join(a.look), line.Join(b.look)
		line.Wake()
		if a.n != 1 || b.n != 0 {
			t.Errorf("the first was asked %d times and the second %d", a.n, b.n)
		}
		first.Back()
		line.Wake()
		if a.n != 2 || b.n != 0 {
			t.Errorf("after it went back, the first was asked %d times and the second %d", a.n, b.n)
		}
		first.Leave(true)
		if b.n != 1 {
			t.Error("who goes on has the next one look, since there may be room for two")
		}
		second.Leave(false)
		if line.Len() != 0 {
			t.Errorf("%d are left in line", line.Len())
		}
	})
}

func TestLine_aTurnIsNotLostWithTheOneWhoLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line Line
		var a, b looks
		first, second := line.Join(a.look), line.Join(b.look)
		line.Wake()
		first.Leave(false) // it gives up although it is its turn
		if b.n != 1 {
			t.Error("the next was not asked")
		}
		second.Leave(true)
	})
}

func TestLine_looksByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line Line
		var a looks
		p := line.Join(a.look)
		time.Sleep(poll + time.Millisecond)
		synctest.Wait()
		if a.n != 1 {
			t.Errorf("asked %d times, want once: there may be room that nobody announced", a.n)
		}
		p.Leave(false)
	})
}

func TestLine_knowsHowLongItTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line Line
		if w := line.Wait(3, 20*time.Millisecond); w != 60*time.Millisecond {
			t.Errorf("%v for three calls 20 ms apart", w)
		}
		for range 100 {
			p, q := line.Join(func() {}), line.Join(func() {})
			time.Sleep(5 * time.Millisecond)
			p.Leave(true)
			time.Sleep(5 * time.Millisecond)
			q.Leave(true)
		}
		if w := line.Wait(10, 20*time.Millisecond); w < 49*time.Millisecond || w > 51*time.Millisecond {
			t.Errorf("%v for ten calls, want 50ms as measured", w)
		}
		p := line.Join(func() {})
		time.Sleep(15 * time.Millisecond)
		if w := line.Wait(100, 0); w < 500*time.Millisecond || w > 520*time.Millisecond {
			t.Errorf("%v for a hundred calls, want 5ms for each: a pause of 15ms says little about all of them", w)
		}
		time.Sleep(time.Second)
		if w := line.Wait(2, 0); w < time.Second {
			t.Errorf("%v for two calls after a second without any", w)
		}
		p.Leave(false)
	})
}

// The first gap of a line may be a stall, and says less than all members' rate.
func TestDrain_believesAFewGapsOnlyInPart(t *testing.T) {
	var d Drain
	now := time.Now()
	d.Pause(now)
	d.Note(now.Add(9 * time.Millisecond))
	if w := d.Time(100, time.Millisecond, 0); w.Round(time.Millisecond) != 200*time.Millisecond {
		t.Errorf("%v for a hundred calls, want 200ms: seven gaps of 1ms and one of 9ms", w)
	}
	if w := d.Time(100, 0, 0); w.Round(time.Millisecond) != 900*time.Millisecond {
		t.Errorf("%v for a hundred calls, want 900ms: nothing else is known", w)
	}
}

func TestDrain_staysWithinItsBounds(t *testing.T) {
	var d Drain
	now := time.Now()
	for _, step := range []time.Duration{0, -time.Hour, time.Hour, 0} {
		now = now.Add(step)
		d.Note(now)
		if w := d.Time(1_000_000, 0, 0); w < leastWait || w > mostWait {
			t.Errorf("%v is out of bounds", w)
		}
	}
	if w := d.Time(0, 0, 0); w != leastWait {
		t.Errorf("%v for nobody", w)
	}
}
