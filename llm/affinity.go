package llm

import (
	"strconv"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
)

// affinity says by which key a call finds the upstream that has read the beginning
// of its prompt before, and finds out whether that is worth anything: a small share
// of the calls goes the other way, and where the gain is too small affinity is
// switched off, with a share of the calls still trying it. A session, which somebody
// asked for, is always kept.
type affinity struct {
	mu            sync.Mutex
	n             uint64
	seen          [remembered]uint64 // prefixes of late, each at the place that its hash gives
	with, without record
}

// arm is on which side of the comparison a call is.
type arm int

const (
	unmeasured arm = iota
	kept           // by its key
	free           // without one
)

// The comparison: one call of controlEvery goes the other way; it takes minRecords
// calls on either side; what is long past counts less and less; and a gain below
// leastGain switches affinity off.
const (
	controlEvery = 50
	minRecords   = 50
	fading       = 0.995
	leastGain    = 0.05
)

// remembered bounds the prefixes that are known to come again.
const remembered = 4096

// ask returns the key of a call, and on which side it is. A prefix that was not seen
// of late goes by the load alone: nobody has it, and of most it is the only call.
func (a *affinity) ask(session string, prefix uint64) (key string, side arm) {
	switch {
	case session != "":
		return session, unmeasured
	case prefix == 0:
		return "", unmeasured
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if at := &a.seen[prefix%remembered]; *at != prefix {
		*at = prefix
		return "", unmeasured
	}
	a.n++
	if control := a.n%controlEvery == 0; control == a.gains() {
		return "", free
	}
	return strconv.FormatUint(prefix, 36), kept
}

// learn enters what became of a call: what the upstream reports, and the time to
// its first content, 0 where that is not known.
func (a *affinity) learn(side arm, used Usage, first time.Duration) {
	if side == unmeasured || used.PromptTokens <= 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	r := &a.with
	if side == free {
		r = &a.without
	}
	r.add(used, first)
}

// gains reports whether affinity is worth something, or not known to be worth
// nothing. Where upstreams report what they had in their caches that decides, else
// the time to the first content. The caller holds mu.
func (a *affinity) gains() bool {
	with, without := a.with, a.without
	if with.n < minRecords || without.n < minRecords {
		return true
	}
	if with.cached+without.cached > 0 {
		return with.share()-without.share() >= leastGain
	}
	if with.first == 0 || without.first == 0 {
		return true
	}
	return 1-with.pace()/without.pace() >= leastGain
}

// record sums up calls, the latest most.
type record struct {
	n              int // calls
	prompt, cached float64
	first, read    float64 // seconds to the first content, and the tokens of those prompts
}

func (r *record) add(used Usage, first time.Duration) {
	r.n++
	r.prompt = r.prompt*fading + float64(used.PromptTokens)
	r.cached = r.cached*fading + float64(min(used.CachedTokens, used.PromptTokens))
	if first > 0 {
		r.first = r.first*fading + first.Seconds()
		r.read = r.read*fading + float64(used.PromptTokens)
	}
}

// share is the part of the prompts that was in the caches.
func (r record) share() float64 { return r.cached / r.prompt }

// pace is the time to the first content for a token of the prompt.
func (r record) pace() float64 { return r.first / r.read }

// leadSources are how many of the first sources tell prompts apart.
const leadSources = 2

// prefix is a hash of how a prompt begins: model, tenant, what the system says, and
// the sources that come first or, without sources, the first of the other messages.
// 0: it has no beginning to speak of.
func (p Prompt) prefix() uint64 {
	var h xxhash.Digest
	h.Reset()
	said := false
	put := func(text string) {
		_, _ = h.WriteString(strconv.Itoa(len(text))) // hashes never fail
		_, _ = h.WriteString(":" + text)
	}
	put(p.Model)
	put(p.Tenant)
	for _, s := range p.Sources[:min(len(p.Sources), leadSources)] {
		put(s.ID)
		said = true
	}
	for _, m := range p.Messages {
		if m.Role == System {
			put(m.Content)
			said = true
		} else if len(p.Sources) == 0 {
			put(m.Content)
			said = true
			break
		}
	}
	if !said {
		return 0
	}
	return max(h.Sum64(), 1)
}
