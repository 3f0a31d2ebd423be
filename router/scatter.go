package router

import (
	"sync"

	"github.com/lanewise/lanewise/search"
)

// answer is what one shard said: a result or an error.
type answer struct {
	result search.Result
	err    error
}

// scatter asks n times, side by side, and returns the answers by position. One
// answer's failure does not disturb the others; a single one is asked inline.
func scatter[A any](n int, ask func(i int) A) []A {
	answers := make([]A, n)
	if n == 1 {
		answers[0] = ask(0)
		return answers
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { answers[i] = ask(i) })
	}
	wg.Wait()
	return answers
}
