package sim

import (
	"container/heap"
	"slices"
	"time"
)

// The policies that lanewise stands beside never hedge, so a list of what will
// happen next is enough to simulate them: ten times as fast as goroutines
// that wait, with the same draws.

// rule chooses among the replicas of a shard.
type rule func(replicas []*line, chance *stream, turn int) int

func inTurn(replicas []*line, _ *stream, turn int) int { return turn % len(replicas) }

func anyOf(replicas []*line, chance *stream, _ int) int {
	return int(chance.uniform() * float64(len(replicas)))
}

func shorterOfTwo(replicas []*line, chance *stream, turn int) int {
	i := anyOf(replicas, chance, turn)
	if len(replicas) == 1 {
		return i
	}
	j := (i + 1 + int(chance.uniform()*float64(len(replicas)-1))) % len(replicas)
	if replicas[j].waiting < replicas[i].waiting {
		return j
	}
	return i
}

func leastOf(replicas []*line, chance *stream, _ int) int {
	best, least, ties := 0, time.Duration(0), 0
	for i, l := range replicas {
		switch wait := l.wait(); {
		case i == 0 || wait < least:
			best, least, ties = i, wait, 1
		case wait == least:
			if ties++; chance.uniform()*float64(ties) < 1 {
				best = i
			}
		}
	}
	return best
}

// agenda is what will happen, a heap by time.
type agenda struct {
	now   time.Duration
	items []happening
}

type happening struct {
	at time.Duration
	do func()
}

func (a *agenda) Len() int           { return len(a.items) }
func (a *agenda) Less(i, j int) bool { return a.items[i].at < a.items[j].at }
func (a *agenda) Swap(i, j int)      { a.items[i], a.items[j] = a.items[j], a.items[i] }
func (a *agenda) Push(x any)         { a.items = append(a.items, x.(happening)) } //nolint:forcetypeassert // only that
func (a *agenda) Pop() any {
	last := a.items[len(a.items)-1]
	a.items = a.items[:len(a.items)-1]
	return last
}

func (a *agenda) after(d time.Duration, do func()) { heap.Push(a, happening{a.now + d, do}) }

func (a *agenda) run() {
	for len(a.items) > 0 {
		next := heap.Pop(a).(happening) //nolint:forcetypeassert // only that
		a.now = next.at
		next.do()
	}
}

// line is a replica: the queue before its workers, and those of its calls that
// somebody waits for.
type line struct {
	agenda  *agenda
	cancel  Cancel
	factor  float64
	free    int
	queue   []*visit
	running []*visit
	waiting int
}

// visit is a call at a replica.
type visit struct {
	line    *line
	service time.Duration
	end     time.Duration // 0: still in the queue
	left    bool          // cancelled or answered
	done    func()
}

func (l *line) enter(v *visit) {
	v.line, v.service = l, time.Duration(float64(v.service)*l.factor)
	l.waiting++
	l.queue = append(l.queue, v)
	l.work()
}

// work starts queued calls while there are free workers.
func (l *line) work() {
	for l.free > 0 && len(l.queue) > 0 {
		v := l.queue[0]
		l.queue = l.queue[1:]
		if v.left && l.cancel != Ignore {
			continue
		}
		l.free--
		v.end = l.agenda.now + v.service
		l.running = append(l.running, v)
		l.agenda.after(v.service, func() { l.finish(v) })
	}
}

func (l *line) finish(v *visit) {
	at := slices.Index(l.running, v)
	if at < 0 {
		return // aborted
	}
	l.running = slices.Delete(l.running, at, at+1)
	l.free++
	if !v.left {
		v.leave()
		v.done()
	}
	l.work()
}

// leave ends a call for the router.
func (v *visit) leave() {
	v.left = true
	v.line.waiting--
}

// giveUp cancels a call that was not answered.
func (v *visit) giveUp() {
	if v.left {
		return
	}
	v.leave()
	if v.line.cancel == Abort && v.end > 0 {
		v.line.finish(v)
	}
}

// wait is the time until a new call would be started.
func (l *line) wait() time.Duration {
	if l.free > 0 {
		return 0
	}
	var frees []time.Duration
	for _, v := range l.running {
		frees = append(frees, v.end-l.agenda.now)
	}
	slices.Sort(frees)
	for _, v := range l.queue {
		if !v.left {
			frees[0] += v.service
			slices.Sort(frees)
		}
	}
	return frees[0]
}

// plain is a run of a policy that is a rule.
type plain struct {
	model     Model
	agenda    agenda
	shards    [][]*line
	arrivals  stream
	chance    stream
	latencies []time.Duration
	slow, all int // calls at the first replica of the first shard, and at all of them
}

// runPlain is [Run] for a policy that is a rule.
func runPlain(m Model) Result {
	p := &plain{model: m, arrivals: draws(m.Seed, 1<<40), chance: draws(m.Seed, 1<<44)}
	for range m.Shards {
		replicas := make([]*line, m.Replicas)
		for i := range replicas {
			replicas[i] = &line{agenda: &p.agenda, cancel: m.Server, factor: 1, free: m.Slots}
		}
		p.shards = append(p.shards, replicas)
	}
	p.shards[0][0].factor = m.Slow
	p.next()
	p.agenda.run()
	r := Result{Model: m, Took: p.agenda.now, SlowShare: float64(p.slow) / float64(p.all)}
	r.count(p.latencies)
	return r
}

// next waits for the next query.
func (p *plain) next() {
	gap := time.Duration(float64(p.model.mean()) / (p.model.Load * float64(p.model.Replicas*p.model.Slots)))
	p.agenda.after(p.arrivals.exponential(gap), func() {
		p.arrivals.uniform() // the router
		p.query(len(p.latencies))
		if len(p.latencies) < p.model.Queries {
			p.next()
		}
	})
}

// query makes a query, which fails if it is not answered in time.
func (p *plain) query(id int) {
	p.latencies = append(p.latencies, failed)
	due, missing, visits := p.agenda.now, len(p.shards), make([]visit, len(p.shards))
	for i, replicas := range p.shards {
		s := draws(p.model.Seed, uint64(id), uint64(i), 1) //nolint:gosec // not negative
		visits[i] = visit{service: p.model.service(s), done: func() {
			if missing--; missing == 0 {
				p.latencies[id] = p.agenda.now - due
			}
		}}
		at := p.model.Policy.rule(replicas, &p.chance, id+1)
		if replicas[at].enter(&visits[i]); i == 0 {
			p.count(at)
		}
	}
	p.agenda.after(p.model.Deadline, func() {
		for i := range visits {
			visits[i].giveUp()
		}
	})
}

func (p *plain) count(at int) {
	p.all++
	if at == 0 {
		p.slow++
	}
}
