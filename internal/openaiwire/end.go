package openaiwire

import (
	"context"
	"io"
	"net/http"
	"time"
)

// tail bounds what is read after an answer's end, and for how long: a server that
// ends its body there, as it should, keeps its connection for the next call.
const (
	tailBytes = 4 << 10
	tailTime  = 100 * time.Millisecond
)

// End ends a call by its answer and its context. The connection of an answer that came
// whole is kept for the next call; any other call is cancelled, also while its body is read.
func End(resp *http.Response, cancel context.CancelFunc, whole bool) {
	if whole {
		late := time.AfterFunc(tailTime, cancel)
		_, _ = io.CopyN(io.Discard, resp.Body, tailBytes) // nothing depends on it
		late.Stop()
	}
	cancel()
	_ = resp.Body.Close() // read only
}
