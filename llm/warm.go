package llm

import (
	"hash/maphash"
	"sync"
)

// How prompts are compared: by the hash of their beginning up to each block of so
// many bytes, about 64 tokens of English. An upstream's newest blocks are kept: 16,384
// of them are a million tokens, about what the cache of a large engine holds.
const (
	blockBytes = 256
	mostBlocks = 1 << 14
	mostWarm   = 256 // upstreams
	mostRaw    = 256 // blocks of a prompt that is passed on
)

// warmth knows how the prompts began that each upstream has read, and so which
// part of a prompt an engine that caches prefixes has likely read before. What
// the engine has forgotten since, it does not know: the prediction is the most that can
// be hoped for. Approximate prefix tables of this kind are common in LLM routers.
type warmth struct {
	seed maphash.Seed
	mu   sync.Mutex
	read map[string]*blocks // by upstream
}

// blocks is a bounded set, in which new ones replace the oldest.
type blocks struct {
	known map[uint64]struct{}
	order []uint64
	next  int
}

// chain returns the hash of a prompt's beginning up to the end of each whole block.
func (w *warmth) chain(p Prompt) []uint64 {
	var h maphash.Hash
	h.SetSeed(w.seed)
	var out []uint64
	left := blockBytes
	for _, m := range p.Messages {
		for _, text := range [2]string{string(m.Role) + "\x00", m.Content} {
			for len(text) > 0 {
				n := min(left, len(text))
				_, _ = h.WriteString(text[:n])
				text = text[n:]
				if left -= n; left == 0 {
					out, left = append(out, h.Sum64()), blockBytes
				}
			}
		}
	}
	return out
}

// chainOf is chain for a prompt as its client wrote it, up to mostRaw blocks: a call
// that is passed on must not cost more for its length.
func (w *warmth) chainOf(raw []byte) []uint64 {
	var h maphash.Hash
	h.SetSeed(w.seed)
	out := make([]uint64, 0, min(len(raw)/blockBytes, mostRaw))
	for len(raw) >= blockBytes && len(out) < mostRaw {
		_, _ = h.Write(raw[:blockBytes])
		out, raw = append(out, h.Sum64()), raw[blockBytes:]
	}
	return out
}

// expect returns how many tokens of a prompt an upstream has read before, by estimate.
func (w *warmth) expect(upstream string, chain []uint64) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.read[upstream]
	if b == nil {
		return 0
	}
	n := 0
	for n < len(chain) {
		if _, ok := b.known[chain[n]]; !ok {
			break
		}
		n++
	}
	return n * blockBytes / 4
}

// learn enters that an upstream has read a prompt.
func (w *warmth) learn(upstream string, chain []uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.read[upstream]
	if b == nil {
		if len(w.read) >= mostWarm {
			return
		}
		b = &blocks{known: map[uint64]struct{}{}}
		w.read[upstream] = b
	}
	for _, h := range chain {
		b.add(h)
	}
}

func (b *blocks) add(h uint64) {
	if _, ok := b.known[h]; ok {
		return
	}
	if len(b.order) < mostBlocks {
		b.order = append(b.order, h)
	} else {
		delete(b.known, b.order[b.next])
		b.order[b.next] = h
		b.next = (b.next + 1) % mostBlocks
	}
	b.known[h] = struct{}{}
}
