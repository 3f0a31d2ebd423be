package balance

import "sync/atomic"

// token is the unit of a bucket, in millionths.
const token = 1_000_000

// bucket bounds extra work as a share of real work: each primary earns a share
// of a token, each extra attempt takes a whole one. It starts almost empty, so
// that an incident does not begin with a burst of doubled requests. It counts
// work and not time, so no clock can break it.
type bucket struct {
	tokens atomic.Int64 // millionths
	share  atomic.Int64 // earned by a primary, millionths
	burst  int64        // at most held, millionths
}

// newBucket returns a bucket that earns share of a token for each primary and
// holds from start to burst tokens. A share of 0 or less closes it for good.
func newBucket(share, start, burst float64) *bucket {
	b := &bucket{burst: int64(burst * token)}
	b.share.Store(int64(share * token))
	if share > 0 {
		b.tokens.Store(int64(start * token))
	}
	return b
}

// earn adds the share of one primary.
func (b *bucket) earn() {
	share := b.share.Load()
	for share > 0 {
		have := b.tokens.Load()
		if have >= b.burst || b.tokens.CompareAndSwap(have, min(have+share, b.burst)) {
			return
		}
	}
}

// take removes a whole token and reports whether there was one.
func (b *bucket) take() bool {
	for {
		have := b.tokens.Load()
		if have < token {
			return false
		}
		if b.tokens.CompareAndSwap(have, have-token) {
			return true
		}
	}
}

// refund gives back a token that was taken and not used.
func (b *bucket) refund() { b.tokens.Add(token) }

// level is the number of tokens in the bucket.
func (b *bucket) level() float64 { return float64(b.tokens.Load()) / token }
