package meter

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lanewise/lanewise/access"
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestDaysAndMonths_areThoseOfUTC(t *testing.T) {
	for text, want := range map[string][2]string{ // the next day and month
		"2026-02-28T23:59:59Z":      {"2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z"},
		"2024-02-28T23:59:59Z":      {"2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"},
		"2026-12-31T12:00:00Z":      {"2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		"2026-03-29T01:30:00+02:00": {"2026-03-29T00:00:00Z", "2026-04-01T00:00:00Z"},
		"2026-11-01T00:30:00+14:00": {"2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z"},
	} {
		now := at(text)
		if d, m := nextDay(now), nextMonth(now); !d.Equal(at(want[0])) || !m.Equal(at(want[1])) {
			t.Errorf("%s: %v, %v", text, d, m)
		}
		if dayOf(nextDay(now)) != dayOf(now)+1 || dayOf(nextDay(now).Add(-1)) != dayOf(now) || monthOf(nextMonth(now)) != monthOf(now)+1 || monthOf(nextMonth(now).Add(-1)) != monthOf(now) {
			t.Errorf("%s: days or months are not counted one by one", text)
		}
	}
}

// A clock that jumps finds what was used in the day that it comes back to.
func TestSpells_outliveJumpsOfTheClock(t *testing.T) {
	var m Meter
	a := &account{limits: access.Limits{TokensPerDay: 100, TokensPerMonth: 1000}}
	use := func(when string, tokens int64, want Limit) {
		t.Helper()
		if got, _ := a.budgets(at(when), tokens, &pool{part: 1}); got != want {
			t.Errorf("%s, %d tokens: refused for %q, want %q", when, tokens, got, want)
		} else if got == "" {
			m.count(a, at(when), Use{Tokens: tokens})
		}
	}
	use("2026-06-30T23:59:59Z", 90, "")
	use("2026-07-01T00:00:01Z", 80, "")
	use("2026-06-30T23:59:58Z", 20, DayBudget) // slipped back over midnight: the 30th is remembered
	use("2026-06-30T23:59:58Z", 10, "")
	use("2026-07-01T00:00:02Z", 30, DayBudget) // and so is the 1st
	use("2099-01-01T00:00:00Z", 100, "")       // jumped ahead, by mistake
	use("2026-07-01T00:00:03Z", 30, DayBudget) // and was put right
	use("2026-07-01T00:00:03Z", 20, "")
	use("2026-07-02T00:00:00Z", 100, "")
}

func TestRecord_isReadBack(t *testing.T) {
	r := record{days: spells{{20000, Use{7, 0.5}}, {19999, Use{1, 2}}}, months: spells{{24315, Use{70, 3}}}}
	if got, ok := decode(r.encode()); !ok || got != r {
		t.Errorf("%v %+v", ok, got)
	}
	for _, bad := range [][]byte{nil, {1}, r.encode()[:96], append(r.encode(), 0), append([]byte{2}, r.encode()[1:]...)} {
		if _, ok := decode(bad); ok {
			t.Errorf("%v is taken", bad)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add((&record{days: spells{{20000, Use{7, 0.5}}}}).encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, ok := decode(data); ok && !bytes.Equal(r.encode(), data) {
			t.Errorf("%v", data)
		}
	})
}

// A disk that takes nothing more stops nobody: what is used is counted in memory, and written when that is possible again.
func TestFile_thatCannotBeWritten(t *testing.T) {
	tenant := "t"
	m, err := New(Config{File: filepath.Join(t.TempDir(), "usage.db"), Every: time.Hour, Tenants: access.Limits{TokensPerDay: 10}})
	if err != nil {
		t.Fatal(err)
	}
	good := m.file
	reserve := func(want bool) {
		t.Helper()
		ch, err := m.Reserve(Request{Tenant: &tenant, Tokens: 5})
		if (err == nil) != want {
			t.Fatal(err)
		}
		ch.Settle(Use{Tokens: 5})
	}
	reserve(true)
	path := filepath.Join(t.TempDir(), "closed.db")
	other, err := New(Config{File: path})
	if err != nil {
		t.Fatal(err)
	}
	_ = other.Close()
	m.file = other.file // every write to it fails
	m.flush()
	reserve(true)
	reserve(false)
	if s := m.Stats(); !s.Failed || s.Unwritten != 1 {
		t.Errorf("%+v", s)
	}
	m.file = good
	m.flush()
	if s := m.Stats(); s.Failed || s.Unwritten != 0 {
		t.Errorf("%+v", s)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(m.config.File); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}
