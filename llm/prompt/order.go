package prompt

import (
	"cmp"
	"slices"

	"github.com/lanewise/lanewise/llm"
)

// Order is in which order passages stand in a prompt.
type Order string

// The orders. The zero value means Rank.
const (
	// Rank puts the best passage first, behind the conversation so far.
	Rank Order = "rank"
	// Stable puts passages in the order of their ids, before the conversation:
	// prompts that rest on the same passages begin alike, whatever their questions,
	// and an engine that caches prefixes has read that part before.
	Stable Order = "stable"
)

// Arrange returns passages, given best first, in the order o, numbered from 1 on:
// N is the number under which an answer cites a passage, also where some of them do
// not fit into a prompt. ranks holds the place of each by score, from 0.
func (o Order) Arrange(passages []llm.Source) (arranged []llm.Source, ranks []int) {
	ranks = make([]int, len(passages))
	for i := range ranks {
		ranks[i] = i
	}
	if o == Stable {
		slices.SortStableFunc(ranks, func(a, b int) int {
			return cmp.Or(cmp.Compare(passages[a].ID, passages[b].ID), cmp.Compare(passages[a].Text, passages[b].Text))
		})
	}
	arranged = make([]llm.Source, len(passages))
	for i, rank := range ranks {
		arranged[i] = passages[rank]
		arranged[i].N = i + 1
	}
	return arranged, ranks
}
