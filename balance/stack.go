package balance

// roomy makes the stack of a new goroutine as large as an attempt needs, while
// there is nothing on it yet. Grown on the way it would be copied, frame by
// frame, once or more.
//
//go:noinline
func roomy(fill bool) {
	if fill { // never: the room is in the frame all the same, and need not be cleared
		var room [10 << 10]byte
		use(&room)
	}
}

//go:noinline
func use(*[10 << 10]byte) {}
