package router

import "sync"

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
