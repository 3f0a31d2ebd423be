package openaiwire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/lanewise/lanewise/fault"
)

const (
	maxErrorBody = 64 << 10 // bytes of an error answer that are read
	maxMessage   = 300      // bytes of an upstream's message that are passed on
	maxWait      = time.Hour
)

// problem is an error as a server words it. OpenAI, vLLM and Anthropic nest it
// under "error", TEI and older vLLM do not; some servers give "error" as a string.
type problem struct {
	Message string          `json:"message"`
	Type    string          `json:"type"`
	Code    json.RawMessage `json:"code"`  // a string, an int or null
	Window  int             `json:"n_ctx"` // llama.cpp, of a prompt that is too long
}

// code returns the code as text, without quotes.
func (p problem) code() string {
	if s := string(bytes.Trim(p.Code, `"`)); s != "null" {
		return s
	}
	return ""
}

// status returns the code where it is an HTTP status (vLLM), else otherwise.
func (p problem) status(otherwise int) int {
	if n, err := strconv.Atoi(p.code()); err == nil && n >= 400 && n < 600 {
		return n
	}
	return otherwise
}

// parseError reads data as an error body; ok is false where it is none.
func parseError(data []byte) (p problem, ok bool) {
	var body struct {
		problem
		Object string          `json:"object"`
		Error  json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(data, &body); err != nil {
		return problem{}, false
	}
	switch nested := bytes.TrimSpace(body.Error); {
	case len(nested) > 0 && nested[0] == '{':
		return p, json.Unmarshal(nested, &p) == nil
	case len(nested) > 0 && nested[0] == '"':
		return problem{Message: stringOf(nested), Type: body.Type, Code: body.Code}, true
	}
	return body.problem, body.Object == "error" || body.Message != "" && (body.Type != "" || body.Code != nil)
}

func stringOf(raw []byte) string {
	var s string
	_ = json.Unmarshal(raw, &s) //nolint:errcheck // valid JSON already
	return s
}

// Fault returns the error of an answer whose status is not 200, with its class:
//
//   - Refused: 401, 402, 403, an invalid key, a used-up quota or credit
//   - Overloaded, with the wait that the headers ask for: 429, 529
//   - Invalid, wrong on every server: 400, 413, 422; a *fault.WindowError where the
//     prompt is longer than the model's window
//   - Unavailable, to be tried elsewhere: everything else; also 404 and a model
//     that this server lacks, which is a fault of the configuration
//
// No text of it contains the key.
func (c *Client) Fault(path string, resp *http.Response, data []byte) error {
	body, ok := parseError(data)
	if !ok {
		body = problem{Message: string(data)} // a proxy's HTML, plain text, nothing
	}
	if at := resp.Header.Get("Location"); at != "" && resp.StatusCode/100 == 3 {
		body = problem{Message: "redirects are not followed"}
	}
	wait := RetryAfter(resp.Header, time.Now())
	if wait == 0 && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == 529) {
		wait = ResetAfter(resp.Header, time.Now())
	}
	return c.fault(path, resp.StatusCode, body, wait)
}

// StreamFault returns the error that data holds, an event of a stream that began
// with status 200, or nil if it is not an error. An event that is named "error"
// is one whatever it holds.
func (c *Client) StreamFault(path, event string, data []byte) error {
	body, ok := parseError(data)
	if !ok {
		if event != "error" {
			return nil
		}
		body = problem{Message: string(data)}
	}
	return c.fault(path, body.status(http.StatusOK), body, 0)
}

func (c *Client) fault(path string, status int, body problem, wait time.Duration) error {
	text := c.clean(body.Message)
	if text == "" {
		text = "no message"
	}
	if code := c.clean(body.code()); code != "" && code != strconv.Itoa(status) {
		text += " (" + code + ")"
	}
	text = fmt.Sprintf("%s: status %d: %s", c.where(path), status, text)
	class := classify(status, body)
	if limit, ok := window(status, body); ok && (class == fault.Invalid || status == http.StatusOK) {
		return &fault.WindowError{Limit: limit, Message: text}
	}
	return &fault.Error{Class: class, Message: text, RetryAfter: wait, Code: c.clean(body.reason())}
}

// classify puts the wording before the status: quota and key errors come with
// many statuses.
func classify(status int, body problem) fault.Class {
	if class, ok := byWording(body); ok {
		return class
	}
	switch status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden:
		return fault.Refused
	case http.StatusTooManyRequests, 529: // 529: Anthropic's "overloaded"
		return fault.Overloaded
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return fault.Invalid
	}
	return fault.Unavailable
}

// reason returns the server's code where that is a word; empty: it gave none.
func (p problem) reason() string {
	if _, err := strconv.Atoi(p.code()); err == nil {
		return ""
	}
	return p.code()
}

// byWording classifies by the code and type that the server gave, if they decide it.
func byWording(body problem) (fault.Class, bool) {
	for _, word := range []string{body.code(), body.Type} {
		switch strings.ToLower(word) {
		case "insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error",
			"invalid_api_key", "authentication_error", "permission_error", "account_deactivated":
			return fault.Refused, true
		case "rate_limit_exceeded", "rate_limit_error", "overloaded_error", "overloaded":
			return fault.Overloaded, true
		case "model_not_found", "not_found_error":
			return fault.Unavailable, true
		case "context_length_exceeded", "invalid_request_error":
			if body.credit() {
				return fault.Refused, true
			}
			if strings.EqualFold(word, "context_length_exceeded") {
				return fault.Invalid, true
			}
		case "exceed_context_size_error": // llama.cpp
			return fault.Invalid, true
		}
	}
	return "", false
}

// credit reports whether the message is about an empty account, which Anthropic
// words as an invalid request.
func (p problem) credit() bool {
	return strings.Contains(strings.ToLower(p.Message), "credit balance")
}

// RetryAfter returns for how long an answer asks to wait, or 0: "retry-after-ms"
// and "x-ms-retry-after-ms" in milliseconds, then "retry-after" in seconds or as
// an HTTP date, seen from now. Nonsense and negative values count as 0; nobody
// is waited for longer than an hour.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	for _, name := range []string{"Retry-After-Ms", "X-Ms-Retry-After-Ms"} {
		if wait := number(h.Get(name), time.Millisecond); wait > 0 {
			return wait
		}
	}
	text := h.Get("Retry-After")
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), maxWait)
	}
	return number(text, time.Second)
}

func number(text string, unit time.Duration) time.Duration {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(n) || n <= 0 {
		return 0
	}
	return time.Duration(min(n*float64(unit), float64(maxWait)))
}
