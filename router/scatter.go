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
		wg.Go(func() {
			roomy()
			answers[i] = ask(i)
		})
	}
	wg.Wait()
	return answers
}

// roomy makes the stack of a new goroutine as large as a question to a shard
// needs, while there is nothing on it yet: grown on the way, frame by frame, it
// would be copied several times, which is a third of what a shard costs.
//
//go:noinline
func roomy() {
	var room [12 << 10]byte
	use(&room)
}

//go:noinline
func use(*[12 << 10]byte) {}
