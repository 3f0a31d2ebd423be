package embed_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
)

// metered embeds everything alike, and counts its calls.
type metered struct {
	calls  *int
	tokens int
}

func (metered) Space() embed.Space { return embed.Space{Model: "metered", Dims: 1} }

func (m metered) Embed(_ context.Context, b embed.Batch) (embed.Vectors, error) {
	*m.calls++
	v := embed.Vectors{Dims: 1, Data: make([]float32, len(b.Texts)), Tokens: m.tokens}
	for i := range v.Data {
		v.Data[i] = 1
	}
	return v, nil
}

// An upstream whose quota is used up leaves the calls to the others.
func TestEmbedder_passesOverWhoHasNoQuotaLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := quota.New(quota.Limit{Requests: 60, Tokens: 60_000}) // 10 and 10,000 at once
		if err != nil {
			t.Fatal(err)
		}
		var paid, own int
		e, err := embed.New(embed.Config{CacheBytes: -1, Upstreams: []embed.Upstream{
			{Name: "paid", Provider: metered{&paid, 7}, Quota: b},
			{Name: "own", Provider: metered{&own, 7}, Tier: 1},
		}})
		if err != nil {
			t.Fatal(err)
		}
		for range 15 {
			if _, err := e.Embed(t.Context(), embed.Batch{Texts: []string{"a text"}, Task: embed.QueryTask}); err != nil {
				t.Fatal(err)
			}
		}
		if paid != 10 || own != 5 {
			t.Errorf("%d calls of the paid upstream and %d of the own one, want 10 and 5", paid, own)
		}
		if left := b.Left(); left.Requests != 0 || left.Tokens != 10_000-70 {
			t.Errorf("%+v is left, want no request and what the upstream's own count leaves of the tokens", left)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
}

// counted is an upstream that allows so many tokens in each minute, by its own
// count, and refuses what is more as servers do.
type counted struct {
	mu      sync.Mutex
	most    float64 // tokens a minute; a minute's worth may come at once
	level   float64
	at      time.Time
	used    int
	refused int
	ratio   float64 // its tokens for one of ours
}

func (*counted) Space() embed.Space { return embed.Space{Model: "counted", Dims: 1} }

func (c *counted) Embed(_ context.Context, b embed.Batch) (embed.Vectors, error) {
	<-time.After(50 * time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, text := range b.Texts {
		n += int(c.ratio * float64(len(text)) / 4)
	}
	now := time.Now()
	c.level = min(c.level+c.most*now.Sub(c.at).Minutes(), c.most)
	c.at = now
	if float64(n) > c.level {
		c.refused++
		return embed.Vectors{}, fault.Busy(time.Second, "rate limit reached")
	}
	c.level -= float64(n)
	c.used += n
	v := embed.Vectors{Dims: 1, Data: make([]float32, len(b.Texts)), Tokens: n}
	for i := range v.Data {
		v.Data[i] = 1
	}
	return v, nil
}

// TestTarget_quota: under a limit of 60,000 tokens a minute a batch job uses at
// least 95 % of what it may, and no caller sees a refusal; whether the tokens are
// estimated right, too low or too high, or nobody has said what the limit is.
func TestTarget_quota(t *testing.T) {
	for _, ratio := range []float64{1, 1.25, 0.8, 0} {
		synctest.Test(t, func(t *testing.T) {
			b, err := quota.New(quota.Limit{Tokens: 60_000})
			if err != nil {
				t.Fatal(err)
			}
			atOnce := 10_000.0 // a sixth of a minute's worth
			if ratio == 0 {    // the quota is not known here
				b, ratio, atOnce = nil, 1, 60_000
			}
			up := &counted{most: 60_000, level: 60_000, at: time.Now(), ratio: ratio}
			e, err := embed.New(embed.Config{CacheBytes: -1, Upstreams: []embed.Upstream{{Name: "paid", Provider: up, Quota: b}}})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			var callers sync.WaitGroup
			for caller := range 4 {
				callers.Go(func() {
					for range 15 { // jobs of 100 texts of 100 tokens by our estimate
						texts := make([]string, 100)
						for i := range texts {
							texts[i] = strings.Repeat(fmt.Sprintf("w%02d ", (i+caller)%100), 100)
						}
						if _, err := e.Embed(t.Context(), embed.Batch{Texts: texts, Bulk: true}); err != nil {
							t.Error(err)
						}
					}
				})
			}
			callers.Wait()
			took := time.Since(start).Minutes()
			share := float64(up.used) / (60_000*took + atOnce)
			t.Logf("tokens times %.2f: %d in %.2f minutes, %.1f %% of the quota; %d refusals by the upstream", ratio, up.used, took, 100*share, up.refused)
			if share < 0.95 {
				t.Errorf("%.1f %% of the quota, want 95 %%", 100*share)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
