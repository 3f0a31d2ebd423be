package wire

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/lanewise/lanewise/fault"
)

// Problem is an error body (RFC 9457, application/problem+json). Class is the
// fault class, or "timeout" where the request's time was up.
type Problem struct {
	Type         string              `json:"type"` // "about:blank": the class says what it is
	Title        string              `json:"title"`
	Status       int                 `json:"status"`
	Detail       string              `json:"detail,omitzero"`
	Instance     string              `json:"instance,omitzero"`
	Class        string              `json:"class,omitzero"`
	Field        string              `json:"field,omitzero"` // JSON pointer into the request
	RetryAfterMS int64               `json:"retry_after_ms,omitzero"`
	Report       *Report             `json:"report,omitzero"`   // of a partial answer
	Replicas     map[string][]string `json:"replicas,omitzero"` // of a write without all acknowledgements: point id to the replicas that have it
}

const classTimeout = "timeout"

// NewProblem describes err, which goes out under this HTTP status. The text of
// an error without a class stays inside: it may say anything.
func NewProblem(err error, status int) Problem {
	p := Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Class: string(fault.Of(err)), Field: fault.Field(err),
		RetryAfterMS: ceilMS(fault.RetryAfter(err)),
	}
	switch {
	case p.Class != "":
		p.Detail = err.Error()
	case errors.Is(err, context.DeadlineExceeded):
		p.Class, p.Detail = classTimeout, err.Error()
	default:
		p.Detail = "an unexpected error; the server's log has its text"
	}
	return p
}

// ceilMS rounds up, so that nobody comes back too early.
func ceilMS(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

// UnmarshalJSON reads a problem leniently, since whatever sent it need not be
// lanewise. For [Decode] it is no problem unless it has a class.
func (p *Problem) UnmarshalJSON(data []byte) error {
	type plain Problem                       // without this method
	return json.Unmarshal(data, (*plain)(p)) //nolint:wrapcheck // the library's own error, which it completes
}

func (p *Problem) check() error {
	if p.Class == "" {
		return fault.BadField("/class", "must be set")
	}
	return nil
}

// Text returns what is wrong in words, without the field's pointer before it.
func (p Problem) Text() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	if p.Field == "" {
		return text
	}
	return strings.Replace(text, p.Field+": ", "", 1)
}

// longestWait bounds what a server may ask for, so that no number overflows.
const longestWait = 24 * time.Hour

// Wait returns the time after which a new attempt makes sense: 0 where it is not
// known, and a day at most.
func (p Problem) Wait() time.Duration {
	return time.Duration(min(max(p.RetryAfterMS, 0), longestWait.Milliseconds())) * time.Millisecond
}

// Err returns the error that the problem describes, with its class, field and
// wait. A class that this program does not know is no class.
func (p Problem) Err() error {
	e := &fault.Error{
		Class: fault.Class(p.Class), Field: p.Field, Message: p.Text(),
		RetryAfter: p.Wait(),
	}
	if fault.Of(e) == "" {
		return errors.New(e.Message)
	}
	return e
}
