package meter

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"github.com/lanewise/lanewise/access"
)

// Standing is what one key or tenant has used, of this day and month of UTC.
type Standing struct {
	Of         Kind
	Name       string
	Limits     access.Limits // that this process grants; zero where it has not been used since the start
	Day, Month Use
	Running    int // requests under way
}

// Standings lists the accounts of a kind that used most in this month first, and at most a number of them.
func (m *Meter) Standings(kind Kind, most int) []Standing {
	now := time.Now()
	found := m.written(kind, now)
	m.mu.Lock()
	for of, a := range m.accounts {
		if of.kind == kind {
			found[of.name] = standing(of.name, a, now)
		}
	}
	m.mu.Unlock()
	out := make([]Standing, 0, len(found))
	for _, s := range found {
		s.Of = kind
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Standing) int {
		return cmp.Or(cmp.Compare(b.Month.Cost, a.Month.Cost), cmp.Compare(b.Month.Tokens, a.Month.Tokens), strings.Compare(a.Name, b.Name))
	})
	return out[:min(most, len(out))]
}

func standing(name string, a *account, now time.Time) Standing {
	r := a.record // looking does not change it
	return Standing{Name: name, Limits: a.limits, Day: a.day.total(r.days.at(dayOf(now))), Month: a.month.total(r.months.at(monthOf(now))), Running: a.running}
}

// written are the accounts of a kind that the file knows.
func (m *Meter) written(kind Kind, now time.Time) map[string]Standing {
	found := map[string]Standing{}
	if m.file == nil {
		return found
	}
	_ = m.file.View(func(tx *bbolt.Tx) error { // it fails only once it is closed
		c, prefix := tx.Bucket(table).Cursor(), string(kind)+"/"
		for k, v := c.Seek([]byte(prefix)); k != nil; k, v = c.Next() {
			name, ours := strings.CutPrefix(string(k), prefix)
			if !ours {
				break
			}
			if r, ok := decode(v); ok {
				found[name] = standing(name, &account{record: r}, now)
			}
		}
		return nil
	})
	return found
}
