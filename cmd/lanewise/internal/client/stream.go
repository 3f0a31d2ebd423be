package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search/wire"
)

// maxEvent is the longest line of a stream, in bytes.
const maxEvent = 64 << 20

// Listener is told of an answer while it is written. Its fields may be nil.
type Listener struct {
	Sources func(found wire.SearchResponse) // once, before the first text
	Text    func(text string)
}

// Stream answers a question and tells l of the parts as they come.
func (c *Client) Stream(ctx context.Context, body wire.AnswerRequest, l Listener) (wire.AnswerResponse, error) {
	var answer wire.AnswerResponse
	body.Stream = true
	resp, err := c.send(ctx, request{method: http.MethodPost, path: []string{"v1", "answer"}, body: body})
	if err != nil {
		return answer, err
	}
	defer resp.Body.Close() //nolint:errcheck // the answer is read or given up
	done := false
	err = events(resp.Body, func(name string, data []byte) error {
		done = done || name == "done"
		return l.hear(name, data, &answer)
	})
	switch {
	case err == nil && !done:
		return answer, c.unreachable(ctx, errors.New("the answer broke off"))
	case err != nil && fault.Of(err) == "":
		return answer, c.unreachable(ctx, err)
	}
	return answer, err
}

// hear takes one event of an answer.
func (l Listener) hear(name string, data []byte, answer *wire.AnswerResponse) error {
	switch name {
	case "sources":
		var found wire.SearchResponse
		if err := json.Unmarshal(data, &found); err != nil || l.Sources == nil {
			return err
		}
		l.Sources(found)
	case "delta":
		var delta struct {
			Text string `json:"text"`
		}
		if err := json.Unmarshal(data, &delta); err != nil || l.Text == nil {
			return err
		}
		l.Text(delta.Text)
	case "done":
		return json.Unmarshal(data, answer)
	case "error":
		p, err := wire.Decode[wire.Problem](data)
		if err != nil {
			return fault.New(fault.Unavailable, "the server ended the answer with an error")
		}
		return p.Err()
	}
	return nil
}

// events reads server-sent events (WHATWG HTML, section 9.2) that have one line
// of data each, which is how lanewise writes them.
func events(r io.Reader, hear func(name string, data []byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEvent)
	name := ""
	for lines.Scan() {
		field, value, _ := bytes.Cut(lines.Bytes(), []byte(": "))
		switch string(field) {
		case "event":
			name = string(value)
		case "data":
			if err := hear(name, value); err != nil {
				return err
			}
		}
	}
	return lines.Err()
}
