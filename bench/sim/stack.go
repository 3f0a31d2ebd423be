package sim

// roomy makes the stack of a goroutine that calls it first as large as a call
// needs: grown on the way, frame by frame, it would be copied several times,
// which is a quarter of what the model costs.
//
//go:noinline
func roomy() {
	var room [6 << 10]byte
	use(&room)
}

//go:noinline
func use(*[6 << 10]byte) {}
