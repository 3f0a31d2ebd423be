package httpapi

import (
	"errors"
	"net/http"
	"strings"

	"github.com/lanewise/lanewise/access/meter"
	"github.com/lanewise/lanewise/fault"
)

// openAIError is an error as clients of OpenAI's API read it.
type openAIError struct {
	Error openAIProblem `json:"error"`
}

// openAIProblem says what is wrong. Param and Code may be null, but must be there.
type openAIProblem struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

// asOpenAI words an error for a client of OpenAI's API.
func asOpenAI(err error) (body openAIError, status int) {
	status = classify(err)
	p := openAIProblem{Message: err.Error(), Type: "server_error"}
	p.Message = shortened(strings.TrimPrefix(p.Message, fault.Field(err)+": "), mostDetail) // param says it
	if code := openAICode(status, err); code != "" {
		p.Code = &code
	}
	switch {
	case status == http.StatusTooManyRequests && fault.Code(err) == meter.CodeSpent:
		p.Type = meter.CodeSpent
	case status == http.StatusTooManyRequests:
		p.Type = "rate_limit_error"
	case status < http.StatusInternalServerError:
		p.Type = "invalid_request_error"
	}
	// A pointer such as /input/3 blames the parameter "input".
	if name, _, _ := strings.Cut(strings.TrimPrefix(fault.Field(err), "/"), "/"); name != "" {
		name = shortened(name, mostField)
		p.Param = &name
	}
	return openAIError{p}, status
}

// openAICode returns the code that clients know for an error, or "".
func openAICode(status int, err error) string {
	switch {
	case status == http.StatusUnauthorized:
		return "invalid_api_key"
	case status == http.StatusTooManyRequests && fault.Code(err) == meter.CodeSpent:
		return meter.CodeSpent
	case status == http.StatusTooManyRequests:
		return "rate_limit_exceeded"
	case status == http.StatusNotFound && fault.Field(err) == "/model":
		return "model_not_found"
	case errors.As(err, new(*fault.WindowError)):
		return "context_length_exceeded"
	case status == http.StatusBadRequest && fault.Code(err) != "":
		return fault.Code(err) // other codes are about our own credentials and limits
	}
	return string(fault.Of(err))
}
