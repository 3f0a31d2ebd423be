package observe

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanewise/lanewise/access/meter"
	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/discovery"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/router"
)

// State is what a system tells of itself when it is scraped. Its parts may be zero.
type State struct {
	Router             router.State            // of a router; its Pools are not looked at
	Pools              []balance.Snapshot      // of all lanes
	Caches             map[string]embed.Stats  // of vectors, by the space
	Quotas             map[string]quota.Amount // what is left of them, by the account
	Traces             *Traces                 // nil: there are none
	Found              []discovery.Status      // of those who tell the members of pools
	Connections        int                     // of clients
	ConnectionsRefused uint64                  // because there were too many
	Certificates       map[string]time.Time    // when those end that are served, by the key of the configuration
	Meter              *meter.Stats            // of the limits of keys and tenants; nil: there are none
	Shared             bool                    // quotas and limits are shared on a Redis
	Alone              bool                    // and that does not answer
}

// stateCollector makes metrics of a State.
type stateCollector struct {
	state func() State
	desc  map[string]*prometheus.Desc
}

// gauges and counters of a State: name, help, labels.
var stateMetrics = [...]struct {
	name, help string
	labels     []string
}{
	{"lanewise_epoch", "Epoch of the shard map.", nil},
	{"lanewise_collection_points", "Points of a collection over all tenants, as the shards have told last.", []string{"collection"}},
	{"lanewise_searches_limit", "Searches that may be at work.", nil},
	{"lanewise_searches_running", "Searches at work.", nil},
	{"lanewise_searches_queued", "Searches that wait to be admitted.", nil},
	{"lanewise_searches_queued_bytes", "Memory of the searches that wait.", nil},
	{"lanewise_searches_shed_total", "Searches refused because there were too many.", nil},
	{"lanewise_pool_calls_total", "Calls of a pool.", []string{"lane", "pool"}},
	{"lanewise_hedges_total", "Attempts made because an earlier one was slow.", []string{"lane", "pool"}},
	{"lanewise_failovers_total", "Attempts made because an earlier one failed.", []string{"lane", "pool"}},
	{"lanewise_pool_running", "Attempts under way, those that lost and have not returned among them.", []string{"lane", "pool"}},
	{"lanewise_pool_waiting", "Calls in line for a member that is not full.", []string{"lane", "pool"}},
	{"lanewise_member_up", "1 while a member gets calls, 0 while it is ejected, throttled or on trial.", []string{"lane", "pool", "member"}},
	{"lanewise_member_in_flight", "Attempts on a member.", []string{"lane", "pool", "member"}},
	{"lanewise_member_speed", "Cost that one call of a member's last answers got done in a second: tokens, in the lanes embed and llm.", []string{"lane", "pool", "member"}},
	{"lanewise_member_weight", "Configured weight of a member.", []string{"lane", "pool", "member"}},
	{"lanewise_member_ejections_total", "Times that a member was taken out of use.", []string{"lane", "pool", "member"}},
	{"lanewise_embed_cache_texts_total", "Texts that needed a vector, by where it came from.", []string{"space", "from"}},
	{"lanewise_embed_cache_bytes", "Memory of the cached vectors, about.", []string{"space"}},
	{"lanewise_quota_requests_left", "Requests that an upstream's quota allows now.", []string{"account"}},
	{"lanewise_quota_redis_away", "1 while the Redis on which routers share quotas and limits does not answer, and this one grants its own part.", nil},
	{"lanewise_spans_total", "Spans that have ended, by whether the collector took them.", []string{"outcome"}},
	{"lanewise_quota_tokens_left", "Tokens that an upstream's quota allows now.", []string{"account"}},
	{"lanewise_discovery_members", "Members in force that were found, by the replica or upstream that they stand for.", []string{"pool"}},
	{"lanewise_discovery_age_seconds", "Age of the last good answer of those who tell the members.", []string{"pool"}},
	{"lanewise_certificate_end_seconds", "When a certificate that is served ends, in Unix time, by the key of the configuration that names its file.", []string{"key"}},
	{"lanewise_connections", "Connections of clients.", nil},
	{"lanewise_connections_refused_total", "Connections refused because there were too many.", nil},
	{"lanewise_limits_refused_total", "Requests refused because a key or a tenant has used what it may.", []string{"of", "limit"}},
	{"lanewise_limits_accounts", "Keys and tenants with limits that are in memory.", nil},
	{"lanewise_limits_forgotten_total", "Keys and tenants whose use was forgotten because there were too many.", nil},
	{"lanewise_limits_unwritten", "Keys and tenants whose use is not in the file yet.", nil},
	{"lanewise_limits_write_failed", "1 while what keys and tenants use cannot be written to the file.", nil},
}

func newStateCollector(state func() State) *stateCollector {
	c := &stateCollector{state: state, desc: map[string]*prometheus.Desc{}}
	for _, m := range stateMetrics {
		c.desc[m.name] = prometheus.NewDesc(m.name, m.help, m.labels, nil)
	}
	return c
}

// Describe names the metrics.
func (c *stateCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.desc {
		out <- d
	}
}

// Collect asks the system for its state.
func (c *stateCollector) Collect(out chan<- prometheus.Metric) {
	s := c.state()
	w := scrape{desc: c.desc, out: out}
	w.router(&s.Router)
	left := mostMembers
	for i := range s.Pools {
		if left -= max(len(s.Pools[i].Members), 1); left < 0 {
			break // the totals of the attempts still have them
		}
		w.pool(&s.Pools[i])
	}
	for space, stats := range s.Caches {
		w.cache(space, stats)
	}
	for _, f := range s.Found {
		w.gauge("lanewise_discovery_members", float64(len(f.Members)), f.Pool)
		if !f.At.IsZero() {
			w.gauge("lanewise_discovery_age_seconds", time.Since(f.At).Seconds(), f.Pool)
		}
	}
	for key, end := range s.Certificates {
		w.gauge("lanewise_certificate_end_seconds", float64(end.Unix()), key)
	}
	w.gauge("lanewise_connections", float64(s.Connections))
	w.counter("lanewise_connections_refused_total", s.ConnectionsRefused)
	if s.Meter != nil {
		w.limits(s.Meter)
	}
	for account, amount := range s.Quotas {
		w.gauge("lanewise_quota_requests_left", amount.Requests, account)
		w.gauge("lanewise_quota_tokens_left", amount.Tokens, account)
	}
	if s.Shared {
		w.flag("lanewise_quota_redis_away", s.Alone)
	}
	if s.Traces != nil {
		sent, lost := s.Traces.Counts()
		w.counter("lanewise_spans_total", sent, "sent")
		w.counter("lanewise_spans_total", lost, "lost")
	}
}

// limits tells of the limits of keys and tenants, none of which it names.
func (w *scrape) limits(s *meter.Stats) {
	for why, n := range s.Refused {
		w.counter("lanewise_limits_refused_total", n, string(why.Of), string(why.By))
	}
	w.gauge("lanewise_limits_accounts", float64(s.Accounts))
	w.counter("lanewise_limits_forgotten_total", s.Forgotten)
	w.gauge("lanewise_limits_unwritten", float64(s.Unwritten))
	w.flag("lanewise_limits_write_failed", s.Failed)
}

// scrape writes the metrics of one moment.
type scrape struct {
	desc map[string]*prometheus.Desc
	out  chan<- prometheus.Metric
}

func (w *scrape) gauge(name string, value float64, labels ...string) {
	w.out <- prometheus.MustNewConstMetric(w.desc[name], prometheus.GaugeValue, value, labels...)
}

// flag is a gauge of 1 or 0.
func (w *scrape) flag(name string, on bool) {
	value := 0.0
	if on {
		value = 1
	}
	w.gauge(name, value)
}

func (w *scrape) counter(name string, value uint64, labels ...string) {
	w.out <- prometheus.MustNewConstMetric(w.desc[name], prometheus.CounterValue, float64(value), labels...)
}

func (w *scrape) router(s *router.State) {
	w.gauge("lanewise_epoch", float64(s.Epoch))
	left := mostModels
	for name, points := range s.Points {
		if left--; left < 0 {
			break
		}
		w.gauge("lanewise_collection_points", points, label(name))
	}
	a := s.Admission
	w.gauge("lanewise_searches_limit", float64(a.Limit))
	w.gauge("lanewise_searches_running", float64(a.Busy))
	w.gauge("lanewise_searches_queued", float64(a.Queued))
	w.gauge("lanewise_searches_queued_bytes", float64(a.QueuedBytes))
	w.counter("lanewise_searches_shed_total", a.Shed)
}

func (w *scrape) pool(p *balance.Snapshot) {
	lane, pool := label(p.Lane), label(p.Pool)
	w.counter("lanewise_pool_calls_total", p.Calls, lane, pool)
	w.counter("lanewise_hedges_total", p.Hedges, lane, pool)
	w.counter("lanewise_failovers_total", p.Failovers, lane, pool)
	w.gauge("lanewise_pool_running", float64(p.Running), lane, pool)
	w.gauge("lanewise_pool_waiting", float64(p.Waiting), lane, pool)
	for i := range p.Members {
		m := &p.Members[i]
		up, name := 0.0, label(m.Name)
		if m.State == balance.Healthy || m.State == balance.Starting {
			up = 1
		}
		w.gauge("lanewise_member_up", up, lane, pool, name)
		w.gauge("lanewise_member_in_flight", float64(m.Inflight), lane, pool, name)
		w.gauge("lanewise_member_speed", m.Speed, lane, pool, name)
		w.gauge("lanewise_member_weight", m.Weight, lane, pool, name)
		w.counter("lanewise_member_ejections_total", m.Ejected, lane, pool, name)
	}
}

func (w *scrape) cache(space string, s embed.Stats) {
	space = label(space)
	const texts = "lanewise_embed_cache_texts_total"
	w.counter(texts, s.Hits, space, "memory")
	w.counter(texts, s.Kept, space, "disk")
	w.counter(texts, s.Shared, space, "another_call")
	w.counter(texts, s.Misses, space, "upstream")
	w.gauge("lanewise_embed_cache_bytes", float64(s.Bytes), space)
}
