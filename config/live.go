package config

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/observe"
)

// Live is a server whose configuration can be exchanged while it serves. A request ends on the configuration with which it began;
// what only that has is closed when its last request has ended. Safe for concurrent use.
type Live struct {
	options Options
	now     atomic.Pointer[generation]
	ending  atomic.Bool
	closed  sync.WaitGroup // generations that are not closed yet

	mu   sync.Mutex // held by the one reload that is under way
	last atomic.Pointer[reloaded]
}

// generation is a system, from one reload to the next.
type generation struct {
	config *Config
	system *System
	users  atomic.Int64 // requests, and one while it is the current one; 0: it is being closed
}

// reloaded is what became of the last reload.
type reloaded struct {
	at   time.Time
	hash string // of the configuration in force
	err  error  // of the last attempt; nil: it is in force
}

// Live builds the configuration as one that can be exchanged. It must be closed.
func (c *Config) Live(ctx context.Context, o Options) (*Live, error) {
	l := &Live{}
	o.Ready, o.Details = l.ready, l.details
	l.options = o
	s, err := c.Build(ctx, o)
	if err != nil {
		return nil, err
	}
	l.begin(c.Resolved(), s)
	l.tell(nil)
	return l, nil
}

// System returns the system of the configuration in force.
func (l *Live) System() *System { return l.now.Load().system }

// begin puts a generation in the place of the one before, which it returns.
func (l *Live) begin(c *Config, s *System) *generation {
	g := &generation{config: c, system: s}
	g.users.Store(1)
	l.closed.Add(1)
	return l.now.Swap(g)
}

// enter returns the current generation, which the caller leaves.
func (l *Live) enter() *generation {
	for {
		g := l.now.Load()
		n := g.users.Load()
		if n > 0 && g.users.CompareAndSwap(n, n+1) {
			return g
		}
	}
}

// leave closes a generation that nobody uses any more.
func (l *Live) leave(g *generation) {
	if g.users.Add(-1) > 0 {
		return
	}
	defer l.closed.Done()
	if err := g.system.closing.close(); err != nil {
		g.system.log.Warn("what an earlier configuration had was not closed", "error", err)
	}
}

// ServeHTTP answers with the configuration in force.
func (l *Live) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g := l.enter()
	defer l.leave(g)
	if l.ending.Load() {
		w.Header().Set("Connection", "close") // what is asked next over it might come too late
	}
	g.system.Handler.ServeHTTP(w, r)
}

// End has /readyz say from now on that the server gets no more traffic.
func (l *Live) End() { l.ending.Store(true) }

func (l *Live) ready(context.Context) error {
	if l.ending.Load() {
		return fault.New(fault.Unavailable, "the server ends")
	}
	return nil
}

// Close closes everything. Requests under way should have ended.
func (l *Live) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.now.Load()
	l.leave(g)
	l.closed.Wait()
	return g.system.lasting.close()
}

// Reload puts another configuration in force. It is validated whole, and new replicas and embedding upstreams
// are asked what they are; then it takes over at once. On an error nothing has changed. What stays as it was
// keeps what it has learned. Errors: Problems, fault.Invalid for what takes a restart, fault.Conflict where points would have to move, and
// those of Build.
func (l *Live) Reload(ctx context.Context, c *Config) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.reload(ctx, c)
	l.tell(err)
	return err
}

// Refused notes a configuration that could not even be read.
func (l *Live) Refused(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tell(err)
}

func (l *Live) reload(ctx context.Context, c *Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	before, r := l.now.Load(), c.Resolved()
	if err := before.config.restarts(r); err != nil {
		return err
	}
	if r.Store == "" {
		if err := before.system.Router.Fits(r.mapShards()); err != nil {
			return fmt.Errorf("shards: %w", err)
		}
		if err := Problems(before.config.newcomers(r).connect(ctx)); err != nil {
			return r.withoutSecretsOf(err)
		}
	}
	next, err := before.system.successor(ctx, r, l.options)
	if err != nil {
		return err
	}
	if err := next.adjust(before.config.Shards, r.Shards); err != nil { //nolint:contextcheck // requests bound how long that takes
		return errors.Join(err, next.closing.close())
	}
	next.live.Store(next)
	next.repeat()
	l.leave(l.begin(r, next))
	return nil
}

// successor builds the system of another configuration, which goes on with what lasts.
func (s *System) successor(ctx context.Context, c *Config, o Options) (*System, error) {
	o.Log = c.withoutSecrets(eventful(o.Log, s.clustered.events))
	next := newSystem(c, o)
	next.prev = s
	next.lasting, next.road, next.joining, next.live, next.followers, next.orders = s.lasting, s.road, s.joining, s.live, s.followers, s.orders
	next.crowd, next.maxHeader = s.crowd, s.maxHeader
	next.Router, next.store, next.backups, next.tls, next.observing, next.clustered = s.Router, s.store, s.backups, s.tls, s.observing, s.clustered
	err := next.openRest(ctx, c, o)
	next.prev = nil // or all of them would stay
	if err != nil {
		return nil, errors.Join(err, next.closing.close())
	}
	return next, nil
}

// reloadable are the sections that another configuration may change at run time.
func reloadable(section string) bool {
	return slices.Contains([]string{"keys", "keys_file", "jwt", "open", "shards", "embed", "rerank", "llm", "timeouts", "quota", "limits"}, section)
}

// restarts names what differs and cannot be exchanged at run time.
func (c *Config) restarts(next *Config) error {
	var names []string
	was, now := reflect.ValueOf(*c), reflect.ValueOf(*next)
	for i := range was.NumField() {
		name, _, _ := strings.Cut(was.Type().Field(i).Tag.Get("yaml"), ",")
		if name != "" && !reloadable(name) && !reflect.DeepEqual(was.Field(i).Interface(), now.Field(i).Interface()) {
			names = append(names, name)
		}
	}
	for name, pair := range map[string][2]any{
		"limits (but for body, body_rate, streams and extra_attempts)": {c.Limits.fixed(), next.Limits.fixed()},
		"timeouts.header and timeouts.idle":                            {[2]time.Duration{c.Timeouts.Header, c.Timeouts.Idle}, [2]time.Duration{next.Timeouts.Header, next.Timeouts.Idle}},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			names = append(names, name)
		}
	}
	if c.Quotas.Routers != next.Quotas.Routers {
		names = append(names, "quota.routers")
	}
	if c.Quotas.Redis != next.Quotas.Redis && c.limited() {
		names = append(names, "quota.redis, where keys or tenants have limits")
	}
	for i, s := range next.Shards {
		if i < len(c.Shards) && !reflect.DeepEqual(c.Shards[i].Lexical, s.Lexical) {
			names = append(names, fmt.Sprintf("shards[%d].lexical", i))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fault.New(fault.Invalid, "%s: a change takes a restart", strings.Join(names, ", "))
}

// fixed is what cannot be exchanged at run time.
func (l Limits) fixed() Limits {
	l.Body, l.BodyRate, l.Streams, l.ExtraAttempts = 0, 0, 0, 0
	return l
}

// newcomers are the replicas and embedding upstreams that only the next configuration has.
func (c *Config) newcomers(next *Config) *Config {
	out := *next
	out.Shards, out.Embed.Upstreams = nil, nil
	known := map[string]bool{}
	for _, s := range c.Shards {
		for _, r := range s.Replicas {
			known[s.Name+"/"+r.where()] = true
		}
	}
	for _, s := range next.Shards {
		s.Lexical = nil
		s.Replicas = slices.DeleteFunc(slices.Clone(s.Replicas), func(r Replica) bool { return known[s.Name+"/"+r.where()] || !r.Discover.isZero() })
		out.Shards = append(out.Shards, s)
	}
	for _, u := range next.Embed.Upstreams {
		if !slices.ContainsFunc(c.Embed.Upstreams, func(was EmbedUpstream) bool { return reflect.DeepEqual(was, u) }) {
			out.Embed.Upstreams = append(out.Embed.Upstreams, u)
		}
	}
	return &out
}

// tell notes what became of a reload, in the log and in the metrics. The caller holds the lock, or is the first.
func (l *Live) tell(err error) {
	g := l.now.Load()
	out := &reloaded{at: time.Now(), hash: g.config.hash(), err: err}
	before := l.last.Load() // nil: this is the start
	switch log := g.system.log; {
	case before != nil && err != nil:
		out.at = before.at
		log.Error("the configuration was not reloaded: the one before stays in force", "error", err)
	case before != nil:
		log.Info("another configuration is in force", "hash", out.hash, "after", time.Since(before.at))
	}
	if m := g.system.observing.metrics; m != nil {
		m.Reloaded(observe.Reload{At: out.at, Hash: out.hash, Err: err, First: before == nil})
	}
	l.last.Store(out)
}

// details are lines for /readyz?verbose.
func (l *Live) details() []string {
	last := l.last.Load()
	if last == nil {
		return nil
	}
	out := []string{fmt.Sprintf("configuration %s in force since %s", last.hash, last.at.UTC().Format(time.RFC3339))}
	if last.err != nil {
		out = append(out, "not reloaded: "+strings.ReplaceAll(last.err.Error(), "\n", "\n  "))
	}
	return out
}

// hash tells configurations apart: the beginning of a digest of what is configured, secrets too, which it does not give away.
func (c *Config) hash() string {
	digest := sha256.New()
	text, err := c.YAML()
	if err != nil {
		return ""
	}
	_, _ = digest.Write([]byte(text + strings.Join(c.secrets(), "\n")))
	return hex.EncodeToString(digest.Sum(nil))[:12]
}
