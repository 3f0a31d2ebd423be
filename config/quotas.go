package config

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/balance/quota/redisquota"
	"github.com/lanewise/lanewise/internal/openaiwire"
)

// Quotas says how several routers share the quotas of upstreams, and the limits of keys and tenants.
type Quotas struct {
	// Routers that use the same upstreams. Without Redis, or while that is away, each
	// takes its part of every quota and limit. Default 1.
	Routers int `yaml:"routers,omitempty"`
	// Redis is the URL of a server on which the routers share the quotas and limits, such as
	// redis://10.0.0.5:6379/0. Default: none.
	Redis Secret `yaml:"redis,omitempty"`
}

// Quota is what an upstream allows by the minute, as its contract says. What its
// answers say is left is believed where it is less.
type Quota struct {
	Requests int `yaml:"requests_per_minute,omitempty"` // default: no limit
	Tokens   int `yaml:"tokens_per_minute,omitempty"`   // of question and answer together. Default: no limit
	// Account tells apart what the upstream counts apart: upstreams and routers that
	// name the same account share one quota. Default: the upstream's lane and name.
	Account string `yaml:"account,omitempty"`
}

func (q Quota) isZero() bool { return q == Quota{} }

// quotas are the open quotas of a system.
type quotas struct {
	config    Quotas
	client    *redis.Client // nil: not shared
	byAccount map[string]account
}

// account is what upstreams of one name for it share.
type account struct {
	*quota.Bucket
	shared *quota.Shared // with other routers; nil: with none
}

// alone reports whether what the routers share cannot be asked for.
func (q *quotas) alone() bool {
	for _, a := range q.byAccount {
		if a.shared != nil && a.shared.Alone() {
			return true
		}
	}
	return false
}

// openQuotas prepares for the quotas of upstreams. It does not connect yet.
func (s *System) openQuotas(c Quotas) error {
	s.quotas = quotas{config: c, byAccount: map[string]account{}}
	if c.Redis == "" {
		return nil
	}
	o, err := c.redis()
	if err != nil {
		return err
	}
	redis.SetLogger(quiet{}) // it would write to standard error; what matters is in this system's log
	s.quotas.client = redis.NewClient(o)
	s.opened(s.quotas.client.Close)
	return nil
}

// quiet is a log that keeps nothing.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// redis is how the server is spoken to: an exchange that takes longer than a lease
// is worth nothing, so nothing is tried again.
func (c Quotas) redis() (*redis.Options, error) {
	o, err := redis.ParseURL(string(c.Redis))
	if err != nil {
		return nil, fmt.Errorf("is not a URL of a Redis: write it as redis://10.0.0.5:6379/0") // the parser's text would quote the password
	}
	o.ContextTimeoutEnabled, o.MaxRetries, o.DialTimeout = true, -1, time.Second
	return o, nil
}

// quota returns the bucket of an upstream, or nil where it has no quota, and the
// client that carries its calls.
func (s *System) quota(q Quota, name string) (*quota.Bucket, *http.Client, error) {
	if q.isZero() {
		return nil, nil, nil
	}
	name = cmp.Or(q.Account, name)
	a, known := s.quotas.byAccount[name]
	if !known {
		var err error
		if a, err = s.openQuota(name, quota.Limit{Requests: float64(q.Requests), Tokens: float64(q.Tokens)}); err != nil {
			return nil, nil, fmt.Errorf("quota: %w", err)
		}
		s.quotas.byAccount[name] = a
	}
	client := openaiwire.NewHTTPClient()
	client.Transport = &quota.Transport{Bucket: a.Bucket, Base: client.Transport}
	s.opened(func() error { client.CloseIdleConnections(); return nil })
	return a.Bucket, client, nil
}

// openQuota makes an account: leased from the shared store, or this router's own part.
func (s *System) openQuota(name string, l quota.Limit) (account, error) {
	n := s.quotas.config.Routers
	if s.quotas.client == nil {
		own, err := quota.New(quota.Limit{Requests: l.Requests / float64(n), Tokens: l.Tokens / float64(n)})
		return account{Bucket: own}, err
	}
	shared, err := quota.NewShared(quota.SharedConfig{
		Key: name, Limit: l, Store: redisquota.New(s.quotas.client, ""), Routers: n, Log: s.log,
	})
	if err != nil {
		return account{}, err
	}
	s.opened(func() error {
		if err := shared.Close(); err != nil { // the lease runs out by itself
			s.log.Warn("a lease was not returned", "quota", name, "err", err)
		}
		return nil
	})
	return account{shared.Bucket, shared}, nil
}

// quotas checks the quotas of all upstreams.
func (v *validator) quotas(c *Config) {
	accounts := map[string]accounted{}
	some := false
	for i, u := range c.Embed.Upstreams {
		some = v.quota(accounts, fmt.Sprintf("embed.upstreams[%d].quota", i), u.Quota, u.Kind == kindStatic) || some
	}
	for i, u := range c.LLM.Upstreams {
		some = v.quota(accounts, fmt.Sprintf("llm.upstreams[%d].quota", i), u.Quota, u.Kind == kindExtract) || some
	}
	v.check(c.Quotas.Routers >= 0, "quota.routers", "must be at least 1")
	v.notZero("quota.routers", c.Quotas.Routers == 0, "a router that reads this counts itself")
	v.check(some || c.Quotas.Routers <= 1 || c.limited(), "quota.routers", "has nothing to share: no upstream has a quota, and no key or tenant a limit")
	if c.Quotas.Redis != "" {
		_, err := c.Quotas.redis()
		v.check(err == nil, "quota.redis", fmt.Sprint(err))
		v.check(some || c.limited(), "quota.redis", "has nothing to share: no upstream has a quota, and no key or tenant a limit")
	}
}

// accounted is a quota and the path of the first upstream that states it.
type accounted struct {
	quota Quota
	path  string
}

// quota checks the quota of one upstream and reports whether there is one.
func (v *validator) quota(accounts map[string]accounted, path string, q Quota, builtIn bool) bool {
	_, given := v.places[path]
	if q.isZero() && !given {
		return false
	}
	if builtIn {
		v.at(path, "has no meaning for an upstream of this kind: nobody counts its calls")
		return true
	}
	v.check(q.Requests >= 0, path+".requests_per_minute", "must not be negative")
	v.check(q.Tokens >= 0, path+".tokens_per_minute", "must not be negative")
	v.notZero(path+".requests_per_minute", q.Requests == 0, allPass)
	v.notZero(path+".tokens_per_minute", q.Tokens == 0, allPass)
	_, requests := v.places[path+".requests_per_minute"]
	_, tokens := v.places[path+".tokens_per_minute"]
	v.check(q.Requests != 0 || q.Tokens != 0 || requests || tokens, path, "missing: requests_per_minute, tokens_per_minute or both")
	if q.Account == "" {
		return true
	}
	first, known := accounts[q.Account]
	if !known {
		accounts[q.Account] = accounted{q, path}
	} else if first.quota != q {
		v.at(path, "contradicts %s, which states another quota for the account %q", first.path, q.Account)
	}
	return true
}

// allPass is what to do about a limit of zero.
const allPass = "nothing would ever pass; leave the key out where there is no limit"

// notZero reports a value that stands in the file as zero, which Go cannot tell
// from one that is left out, and says what is wrong with that.
func (v *validator) notZero(path string, zero bool, why string) {
	if _, given := v.places[path]; given && zero {
		v.at(path, "is zero: %s", why)
	}
}
