package sim

import "time"

// The models that the goals are about. Servers drop queued work on cancel and
// finish what runs, unless a goal says otherwise.
func healthy(load float64, kind Cancel) Model {
	return at(load).with(func(m *Model) { m.Server = kind })
}

func oneSlow(load float64, kind Cancel) Model {
	return healthy(load, kind).with(func(m *Model) { m.Slow = 10 })
}

// healing has a slow replica that is healthy after a while. Two shards do: the
// goal is about one shard's traffic.
func healing(load float64) Model {
	return oneSlow(load, Abort).with(func(m *Model) {
		m.Shards = 2
		rate := load * float64(m.Replicas*m.Slots) / meanWith(m.Stall).Seconds()
		m.Queries = int(rate * (heals + recovery + settled).Seconds())
		m.Events = []Event{{At: heals, Factor: 1}, {At: heals + recovery, Factor: 1}}
	})
}

// overload has more load than capacity, for long enough that the backlog of those
// who wait exceeds the deadline: a quick run has two shards instead.
func overload() Model {
	return healthy(1.05, Drop).with(func(m *Model) {
		if !*full {
			m.Shards, m.Queries = 2, 40_000
		}
	})
}

// heals is when a replica heals, and recovery the time within which a healed replica must be back at its share,
// which is measured over the time after it.
const (
	heals    = 12 * time.Second
	recovery = 30 * time.Second
	settled  = 5 * time.Second
)

// faulty are models without a goal's number, in which no query may fail.
func faulty() []Model {
	dead := healthy(0.5, Drop).with(func(m *Model) { m.Events = []Event{{At: time.Second, Factor: 1, Down: true}} })
	flapping := healthy(0.5, Drop).with(func(m *Model) {
		for i := range 20 {
			m.Events = append(m.Events, Event{At: time.Duration(i+1) * 300 * time.Millisecond, Factor: 1, Down: i%2 == 0})
		}
	})
	eight := healthy(0.6, Drop).with(func(m *Model) { m.Routers = 8 })
	return []Model{dead, flapping, eight}
}

// goals returns the rows of the table.
func goals() []goal {
	return append(hedgingGoals(), routingGoals()...)
}

func hedgingGoals() []goal {
	q := tail()
	base := healthy(0.6, Drop).by(unhedged)
	g1, g2 := healthy(0.6, Abort), healthy(0.6, Drop)
	g3, calm, g4 := oneSlow(0.3, Drop), healthy(0.3, Drop), oneSlow(0.6, Abort)
	return []goal{
		{
			id: "G1", claim: "60 % load, servers abort cancelled work: the tail", main: g1, metric: quantile(q), unit: " ms",
			beside: beside(g2), also: []Model{base}, bound: floorOf(g1, q), boundName: "floor (no queue, no stall)",
			checks: []check{
				{what: "tail / unhedged tail", value: ratio(quantile(q), g1, base), asked: 0.08, quick: 0.12},
				{what: "tail / floor", value: func(c cells) figure { return c.each(g1, quantile(q)).over(floorOf(g1, q)(c)) }, asked: 1.25, quick: 1.4},
				{what: "extra requests", value: value(extra, g1), asked: 0.03, quick: 0.035},
			},
		},
		{
			id: "G2", claim: "60 % load, servers cannot abort: the tail", main: g2, metric: quantile(q), unit: " ms",
			beside: beside(g2), also: []Model{base}, bound: floorOf(g2, q), boundName: "floor (no queue, no stall)",
			checks: []check{
				{what: "tail / unhedged tail", value: ratio(quantile(q), g2, base), asked: 0.20, quick: 0.30},
				{what: "p99 / unhedged p99", value: ratio(quantile(0.99), g2, base), asked: 0.15, quick: 0.30},
				{what: "extra requests", value: value(extra, g2), asked: 0.03, quick: 0.035},
			},
		},
		{
			id: "G3", claim: "one replica 10x slow, 30 % load: the tail", main: g3, metric: quantile(q), unit: " ms",
			beside: beside(g3), also: []Model{calm}, bound: value(quantile(q), calm), boundName: "all healthy",
			checks: []check{
				{what: "tail / healthy tail", value: ratio(quantile(q), g3, calm), asked: 1.25, quick: 1.4},
				{what: "extra requests", value: value(extra, g3), asked: 0.03, quick: 0.035},
			},
		},
		{
			id: "G4", claim: "one replica 10x slow, 60 % load, servers abort: the tail", main: g4, metric: quantile(q), unit: " ms",
			beside: beside(g4), also: []Model{g1}, bound: value(quantile(q), g1), boundName: "all healthy",
			checks: []check{{what: "tail / healthy tail", value: ratio(quantile(q), g4, g1), asked: 1.25, quick: 1.5}},
		},
	}
}

func routingGoals() []goal {
	slow30, slow60 := oneSlow(0.3, Drop), oneSlow(0.6, Abort)
	g6, g7, g9 := healthy(0.8, Drop).by(unhedged), healthy(0.95, Drop), oneSlow(0.5, Ignore)
	g8 := overload().by(admitted)
	back := func(c cells) figure {
		return c.each(healing(0.6), func(r Result) float64 { return r.between(1, 2) * float64(r.Model.Replicas) })
	}
	added := func(c cells) figure {
		f := c.each(g7, failures)
		for i, r := range c.of(g7.by(unhedged)) {
			f[i] -= r.Failed
		}
		return f
	}
	return []goal{
		{
			id: "G5", claim: "share of its shard's traffic that a 10x slow replica gets (shown: 60 % load)", main: slow60, metric: slowShare,
			beside: beside(slow60), also: []Model{slow30, healing(0.6), slow60.by(oracle)}, bound: value(slowShare, slow60.by(oracle)), boundName: "omniscient least work",
			checks: []check{
				{what: "share at 30 % load", value: value(slowShare, slow30), asked: 0.01, quick: 0.02},
				{what: "share at 60 % load", value: value(slowShare, slow60), asked: 0.04, quick: 0.05},
				{what: "of its fair share, 30 to 35 s after it has healed", value: back, asked: 0.9, quick: 0.9, atLeast: true},
			},
		},
		{
			id: "G6", claim: "80 % load, unhedged: the median", main: g6, metric: quantile(0.5), unit: " ms",
			beside: beside(g6), also: []Model{g6.by(oracle)}, bound: value(quantile(0.5), g6.by(oracle)), boundName: "omniscient least work",
			checks: []check{{what: "p50 / omniscient p50", value: ratio(quantile(0.5), g6, g6.by(oracle)), asked: 1.10, quick: 1.35}},
		},
		{
			id: "G7", claim: "95 % load: share of the queries without an answer in time", main: g7, metric: failures,
			beside: append(beside(g7), g7.by(admitted)), also: []Model{g7.by(unhedged)}, bound: value(failures, g7.by(unhedged)), boundName: "lanewise unhedged",
			checks: []check{
				{what: "added by hedging", value: added, asked: 0, quick: 0.005},
				{what: "extra requests in the worst 10 s", value: value(laneWorst, g7), asked: 0.051, quick: 0.051},
				{what: "extra requests of one shard in the worst 10 s", value: value(shardWorst, g7), asked: 0.101, quick: 0.105},
			},
		},
		{
			id: "G8", claim: "105 % load with admission: answers in time, as a share of the capacity", main: g8, metric: goodput,
			beside: append(beside(g8), g8.by(lanewise)), bound: func(cells) figure { return figure{1} }, boundName: "all of the capacity",
			checks: []check{
				{what: "goodput / capacity", value: value(goodput, g8), asked: 0.9, quick: 0.85, atLeast: true},
				{what: "extra requests in the worst 10 s", value: value(laneWorst, g8), asked: 0.051, quick: 0.051},
			},
		},
		{
			id: "G9", claim: "servers ignore cancel, one replica 10x slow, 50 % load: share without an answer in time", main: g9, metric: failures,
			beside: beside(g9), also: []Model{g9.by(oracle)}, bound: value(failures, g9.by(oracle)), boundName: "omniscient least work",
			checks: []check{{what: "without an answer", value: value(failures, g9), asked: 0.001, quick: 0.005}},
		},
		faults(),
	}
}

// faults is the row of the models in which replicas die and routers do not know
// of each other.
func faults() goal {
	m := faulty()
	return goal{
		id: "--", claim: "one replica dies; one flaps every 300 ms; 8 routers at 60 % load: share without an answer in time", main: m[0], metric: failures,
		also: append(m[1:], healthy(0.6, Drop)),
		checks: []check{
			{what: "a dead replica", value: value(failures, m[0]), asked: 0, quick: 0},
			{what: "a flapping replica", value: value(failures, m[1]), asked: 0, quick: 0},
			{what: "8 routers", value: value(failures, m[2]), asked: 0.001, quick: 0.001},
			{what: "8 routers: tail / tail of one", value: ratio(quantile(tail()), m[2], healthy(0.6, Drop)), asked: 2.5, quick: 2.5},
		},
	}
}
