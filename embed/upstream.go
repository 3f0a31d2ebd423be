package embed

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/fault"
)

// member is an upstream as the pool knows it, with what was learned of its limits.
type member struct {
	Provider
	name     string
	space    Space
	timeout  time.Duration // of one bulk call
	truncate bool
	zeros    bool

	guard  *guard        // nil: none
	asking chan struct{} // holds one while the upstream is asked for the canary before its first call
	quota  *quota.Bucket // nil: no limit
	own    traffic

	mu       sync.Mutex
	verified int     // which of the guard's vectors it was compared with; 0: none
	astray   error   // it is of another space
	trouble  error   // of its last attempt that failed
	limiter  Limiter // the provider, if it is one
	limits   Limits  // configured
	learned  Limits  // at taught; what is not limited is 0
	taught   time.Time
	accepted Limits // the largest call so far, in each respect
}

func newMember(u Upstream, c Config) *member {
	m := &member{Provider: u.Provider, name: u.Name, space: u.Provider.Space(), timeout: c.Timeout, truncate: c.Long == Truncate, zeros: u.Zeros, quota: u.Quota, asking: make(chan struct{}, 1)}
	m.limiter, _ = u.Provider.(Limiter)
	m.limits = u.Limits
	return m
}

// Limits returns what the upstream accepts, as far as it is known by now.
func (m *member) Limits() Limits {
	var own Limits
	if m.limiter != nil {
		own = m.limiter.Limits()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return own.tighten(m.limits).tighten(m.relaxed())
}

// relax is how long a learned limit is kept. Then it grows by a quarter, and so on: an
// upstream that takes more by now is found out at the price of a call now and then.
const relax = 10 * time.Minute

// relaxed returns what is left of the learned limits. The caller holds mu.
func (m *member) relaxed() Limits {
	l := m.learned
	if l == (Limits{}) {
		return l
	}
	for range min(int(time.Since(m.taught)/relax), 100) {
		l = l.each(l, func(n, _ int) int {
			if n == 0 || n > math.MaxInt32/2 {
				return 0
			}
			return n + (n+3)/4
		})
	}
	return l
}

// failed enters the error of an attempt, unless it is the caller's fault or that of
// a race that it has lost.
func (m *member) failed(err error) {
	if !fault.Elsewhere(err) && !errors.Is(err, context.DeadlineExceeded) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trouble = err
}

// why returns the error of the last attempt that failed, or nil.
func (m *member) why() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.trouble
}

// took enters that a call of a size was accepted.
func (m *member) took(size Limits) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.accepted = m.accepted.each(size, func(a, b int) int { return max(a, b) })
}

// tooLarge enters that a call was refused and both of its halves were not: its
// size was the reason. What is blamed is the first respect in which no call as
// large was ever accepted, and what is allowed from now on is the larger half.
func (m *member) tooLarge(size, half Limits) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var learned Limits
	switch {
	case size.Inputs > m.accepted.Inputs:
		learned.Inputs = max(half.Inputs, m.accepted.Inputs)
	case size.Tokens > m.accepted.Tokens:
		learned.Tokens = max(half.Tokens, m.accepted.Tokens)
	case size.Bytes > m.accepted.Bytes:
		learned.Bytes = max(half.Bytes, m.accepted.Bytes)
	}
	m.learned, m.taught = m.relaxed().tighten(learned), time.Now()
}

// sheet is what came of a batch at one upstream, text by text.
type sheet struct {
	batch    Batch
	rows     []outcome
	prefix   int // bytes before each text
	accepted int // texts
	refused  int // texts, each alone
}

// hopeless is how many texts have to be refused alone, with none accepted, until
// the fault is taken to be that of all: a wrong model, say.
const hopeless = 3

// embed embeds a batch in as many calls as the upstream's limits demand. An error
// is one of the whole attempt; a text that is refused has its own.
func (m *member) embed(ctx context.Context, b Batch) (*sheet, error) {
	defer m.own.enter(b.Len())()
	if err := m.trusted(ctx); err != nil {
		return nil, err
	}
	s := &sheet{batch: b, rows: make([]outcome, b.Len())}
	if b.IDs == nil {
		s.prefix = len(m.space.Prefixed("", b.Task))
	}
	for _, p := range m.Limits().split(b, s.prefix) {
		if _, err := m.try(ctx, s, p); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// try embeds a part, and where the upstream refuses it, its halves: so a text
// that cannot be embedded costs the others nothing but time. whole is whether
// every text was accepted.
func (m *member) try(ctx context.Context, s *sheet, p part) (whole bool, err error) {
	b := s.batch.part(p)
	size := b.total(s.prefix)
	v, err := m.call(ctx, b)
	switch {
	case err == nil:
		m.took(size)
		s.accept(p, v)
		return true, nil
	case !errors.Is(err, fault.Invalid):
		return false, err
	case p.len() == 1:
		return m.alone(ctx, s, p.from, err)
	}
	if s.accepted == 0 && s.refused >= hopeless {
		s.refuse(p, err)
		return false, nil
	}
	mid := p.from + (p.len()+1)/2
	left, err := m.try(ctx, s, part{p.from, mid})
	if err != nil {
		return false, err
	}
	right, err := m.try(ctx, s, part{mid, p.to})
	if left && right {
		m.tooLarge(size, s.batch.part(part{p.from, mid}).total(s.prefix))
	}
	return left && right, err
}

const (
	shortenings = 4  // how often a text that is refused is cut
	leastText   = 64 // estimated tokens: a shorter text is not refused for its length
)

// alone deals with a single text that was refused: it is shortened until it fits,
// where that is wanted, or refused.
func (m *member) alone(ctx context.Context, s *sheet, at int, refusal error) (bool, error) {
	size := s.batch.size(at, 0).Tokens
	for range shortenings {
		if !m.truncate || size < leastText {
			break
		}
		size = size * 3 / 4
		v, err := m.call(ctx, s.batch.cut(at, size))
		if err == nil {
			s.accept(part{at, at + 1}, v)
			s.rows[at].cut = true
			return false, nil
		}
		if !errors.Is(err, fault.Invalid) {
			return false, err
		}
	}
	s.refuse(part{at, at + 1}, refusal)
	return false, nil
}

// call makes one call and checks its answer. A bulk call is bounded here, since
// its caller's time may include the wait for a quota.
func (m *member) call(ctx context.Context, b Batch) (Vectors, error) {
	if _, ok := m.Provider.(TokenReader); b.IDs != nil && !ok {
		return Vectors{}, fault.New(fault.Invalid, "upstream %q takes texts, no token ids", m.name)
	}
	if b.Bulk {
		timed, cancel := context.WithTimeout(ctx, m.timeout)
		defer cancel()
		ctx = timed
	}
	v, err := m.Embed(ctx, b)
	if err != nil {
		return Vectors{}, err
	}
	if err := m.space.check(v, b.Len()); err != nil {
		return Vectors{}, err
	}
	if i := zeroRow(v); i >= 0 && !m.zeros {
		return Vectors{}, fault.New(fault.Unavailable, "vector %d of the answer is all zeros", i)
	}
	return v, nil
}

// accept enters the vectors of a part, each in memory of its own, so that one
// that stays cached does not hold the others. The tokens are shared out by estimate.
func (s *sheet) accept(p part, v Vectors) {
	b := s.batch.part(p)
	total := max(b.total(0).Tokens, 1)
	v.Tokens = cmp.Or(v.Tokens, total)
	left := v.Tokens
	for i := range p.len() {
		share := v.Tokens * b.size(i, 0).Tokens / total
		if i == p.len()-1 {
			share = left
		}
		left -= share
		s.rows[p.from+i].row = row{vector: append([]float32(nil), v.Row(i)...), tokens: share}
	}
	s.accepted += p.len()
}

func (s *sheet) refuse(p part, err error) {
	for i := p.from; i < p.to; i++ {
		s.rows[i].err = err
	}
	s.refused += p.len()
}

// tokens returns what the batch has cost.
func (s *sheet) tokens() (sum int) {
	for _, r := range s.rows {
		sum += r.tokens
	}
	return sum
}

// check refuses an answer that is not one finite vector of s for each text.
func (s Space) check(v Vectors, texts int) error {
	if v.Dims != s.Dims {
		return fault.New(fault.Unavailable, "answer has %d dims, but space %q has %d", v.Dims, s.ID(), s.Dims)
	}
	if len(v.Data) != texts*s.Dims {
		return fault.New(fault.Unavailable, "answer has %d numbers, not %d vectors of %d", len(v.Data), texts, s.Dims)
	}
	for i, x := range v.Data {
		if x-x != 0 { // NaN and both infinities
			return fault.New(fault.Unavailable, "vector %d of the answer is not finite", i/s.Dims)
		}
	}
	return nil
}

// zeroRow returns the first row that is all zeros, or -1.
func zeroRow(v Vectors) int {
	for i := range v.Rows() {
		if !slices.ContainsFunc(v.Row(i), func(x float32) bool { return x != 0 }) {
			return i
		}
	}
	return -1
}
