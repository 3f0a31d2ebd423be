package fault

// WindowError is an [Invalid] error: a prompt, with the room that its answer
// reserves, is longer than the context window of the model that should read it. A
// shorter prompt, or a model with a larger window, may succeed.
type WindowError struct {
	Limit   int    // the window in tokens, as the upstream states it; 0: it does not
	Message string // what is wrong, without the class
}

// Error returns the message.
func (e *WindowError) Error() string { return e.Message }

// Is reports whether target is [Invalid].
func (e *WindowError) Is(target error) bool { return target == Invalid }
