// Package redisquota keeps quotas that several routers share in Redis.
//
// It is a store for quota.Shared: one script exchanges leases atomically, by the
// clock of the Redis server, so that the routers' clocks do not matter. A quota
// is one hash of three fields under the prefix and its key; it expires when
// nobody has asked for it for an hour, and is full then.
package redisquota

import (
	"cmp"
	"context"
	_ "embed" // the script
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/fault"
)

//go:embed exchange.lua
var source string

// Store is a quota.Store on Redis. Safe for concurrent use.
type Store struct {
	client redis.Scripter
	prefix string
	script *redis.Script
}

var _ quota.Store = (*Store)(nil)

// New returns a store on a client, which stays the caller's to close. The keys
// of the quotas begin with prefix; empty: "lanewise:quota:".
func New(client redis.Scripter, prefix string) *Store {
	return &Store{client: client, prefix: cmp.Or(prefix, "lanewise:quota:"), script: redis.NewScript(source)}
}

// Exchange implements quota.Store. Its error is fault.Unavailable.
func (s *Store) Exchange(ctx context.Context, key string, limit quota.Limit, t quota.Trade) (quota.Amount, error) {
	args := []any{
		limit.Requests / 60, limit.Tokens / 60, limit.Requests * limit.Burst, limit.Tokens * limit.Burst,
		t.Give.Requests, t.Give.Tokens, t.Want.Requests, t.Want.Tokens,
	}
	got, err := s.script.Run(ctx, s.client, []string{s.prefix + key}, args...).Float64Slice()
	if err != nil {
		return quota.Amount{}, fault.Wrap(fault.Unavailable, "exchange the lease of quota "+key, err)
	}
	if len(got) != 2 {
		return quota.Amount{}, fault.New(fault.Unavailable, "quota %s: the script answered %s", key, fmt.Sprint(got))
	}
	return quota.Amount{Requests: got[0], Tokens: got[1]}, nil
}
