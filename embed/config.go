package embed

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/fault"
)

// Upstream is one place that embeds.
type Upstream struct {
	Name     string // unique; in errors and traces
	Provider Provider
	Weight   float64 // share of the load; 0: 1
	Slots    int     // calls that it runs at the same time; 0: not known
	Tier     int     // used only while earlier tiers have no healthy capacity
	Aborts   bool    // a call that is cancelled stops costing the upstream anything
	Limits   Limits  // of one call, beside the provider's own; lower ones are learned
	Zeros    bool    // a vector of zeros is an answer: the model knows no word of the text
	// Quota is what the upstream allows by the minute; nil: no limit. A call reserves
	// its estimated tokens and settles with those that the upstream reports.
	Quota *quota.Bucket
}

// Long says what becomes of a text that is longer than the model's window.
type Long string

// What becomes of long texts.
const (
	Refuse   Long = "refuse"   // an error, fault.Invalid
	Truncate Long = "truncate" // its beginning is embedded, and Vectors.Truncated says so
)

// Config describes an embedding lane. Zero values mean the defaults.
type Config struct {
	Upstreams []Upstream    // at least one, all of one space
	Name      string        // of the pool, in errors and traces; default "embed"
	Lane      *balance.Lane // latencies and hedge budget; nil: one of its own (p99, 1 %)
	Trace     *balance.Trace

	// Flush is the size at which texts of several callers are sent as one call
	// without waiting for more; zero fields: 64 texts, 16,000 tokens, any bytes.
	// An upstream that takes less gets several calls.
	Flush Limits
	// Wait is how long a text waits for company while other calls are under way;
	// 0: 3 ms, below 0: not at all. It waits a tenth of its caller's time at most.
	Wait time.Duration
	// Parallel is how many calls of bulk batches are under way at the same time;
	// 0: what single texts leave of the upstreams' slots, or is found out.
	Parallel int
	// Long is what becomes of a text that is longer than the tightest window of
	// the upstreams, by estimate, or that an upstream refuses; "": Refuse.
	Long Long
	// Watch is how often each upstream is asked for the vector of a canary text, first
	// before it is used. One whose vector differs (cosine below 0.999) is of another
	// space, and out of use until it is right again. What it is compared with is the
	// vector of the first upstream that is asked, or that of [Embedder.Hold]. 0: never.
	Watch time.Duration
	// Shortens says that the first numbers of a vector are a vector of lower quality
	// by themselves: the model was trained for it.
	Shortens bool
	// CacheBytes bounds the memory of cached vectors; 0: 64 MiB, below 0: none.
	CacheBytes int64
	// CacheTTL is for how long a cached vector is good, to the second; 0: for ever.
	CacheTTL time.Duration
	// Shelf keeps cached vectors over a restart; nil: they end with the process. It
	// stays open: it belongs to whoever made it.
	Shelf Shelf
	// Timeout bounds a call that several callers may wait for, and that
	// therefore outlives the first of them; 0: 10 s, or until the latest deadline
	// of its first callers if that is later.
	Timeout time.Duration
}

// Defaults of [Config].
const (
	defaultName       = "embed"
	defaultCacheBytes = 64 << 20
	defaultTimeout    = 10 * time.Second
	defaultWait       = 3 * time.Millisecond
	defaultInputs     = 64
	defaultTokens     = 16_000
)

func (c Config) withDefaults() Config {
	c.Name = cmp.Or(c.Name, defaultName)
	c.CacheBytes = cmp.Or(c.CacheBytes, defaultCacheBytes)
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.Wait = cmp.Or(c.Wait, defaultWait)
	c.Long = cmp.Or(c.Long, Refuse)
	c.Flush.Inputs = cmp.Or(c.Flush.Inputs, defaultInputs)
	c.Flush.Tokens = cmp.Or(c.Flush.Tokens, defaultTokens)
	return c
}

func (c Config) validate() error {
	var errs []error
	if len(c.Upstreams) == 0 {
		errs = append(errs, fault.BadField("/upstreams", "must not be empty"))
	}
	if c.Parallel < 0 {
		errs = append(errs, fault.BadField("/parallel", "must not be negative"))
	}
	if c.CacheTTL < 0 {
		errs = append(errs, fault.BadField("/cache_ttl", "must not be negative"))
	}
	if c.Timeout < 0 {
		errs = append(errs, fault.BadField("/timeout", "must not be negative"))
	}
	if c.Long != Refuse && c.Long != Truncate {
		errs = append(errs, fault.BadField("/long", "is neither %q nor %q", Refuse, Truncate))
	}
	for i, u := range c.Upstreams {
		if u.Provider == nil {
			errs = append(errs, fault.BadField(fmt.Sprintf("/upstreams/%d/provider", i), "is missing"))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return oneSpace(c.Upstreams)
}

// oneSpace refuses upstreams whose vectors cannot be compared: failing over from
// one to the other would turn results into noise without an error.
func oneSpace(upstreams []Upstream) error {
	first := upstreams[0].Provider.Space()
	if first.Dims <= 0 {
		return fault.BadField("/upstreams/0/provider", "has a space of %d dims", first.Dims)
	}
	for i, u := range upstreams[1:] {
		if s := u.Provider.Space(); !s.Compatible(first) {
			return &fault.Error{
				Class: fault.Conflict, Field: fmt.Sprintf("/upstreams/%d/provider", i+1),
				Message: fmt.Sprintf("upstream %q embeds into space %q, but upstream %q into %q: a lane has one space",
					u.Name, s.ID(), upstreams[0].Name, first.ID()),
			}
		}
	}
	return nil
}

func (c Config) pool(targets []*member) (*balance.Pool[*member], error) {
	lane := c.Lane
	if lane == nil {
		own, err := balance.NewLane(balance.LaneConfig{Name: c.Name, HedgeQuantile: 0.99, HedgeShare: 0.01})
		if err != nil {
			return nil, err
		}
		lane = own
	}
	return balance.NewPool(balance.Config{Name: c.Name, Lane: lane, Trace: c.Trace, Picker: soonest{}}, c.places(targets)...)
}

// places puts targets into the places of the upstreams.
func (c Config) places(targets []*member) []balance.Member[*member] {
	members := make([]balance.Member[*member], len(c.Upstreams))
	for i, u := range c.Upstreams {
		members[i] = balance.Member[*member]{
			Name: u.Name, Target: targets[i], Weight: u.Weight, Slots: u.Slots, Tier: u.Tier, Aborts: u.Aborts, Quota: u.Quota,
		}
	}
	return members
}
