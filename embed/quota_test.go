package embed_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/embed"
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
