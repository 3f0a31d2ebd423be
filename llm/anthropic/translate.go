package anthropic

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm/relay"
)

// translate says a call of OpenAI's API in the words of the Messages API. Its
// errors are fault.Invalid and name the field by its pointer.
func (p *Provider) translate(c *relay.Call) (request, error) {
	r := request{Model: cmp.Or(c.Model, p.config.Model), Stream: c.Stream}
	if c.Endpoint != relay.Chat {
		return r, fault.BadField("/model", "has no completions of plain text: use /chat/completions")
	}
	var in chat
	if err := json.Unmarshal(c.Body(), &in); err != nil {
		return r, fault.BadField(pointer(err), "is not of the type that this model expects")
	}
	if err := in.check(); err != nil {
		return r, err
	}
	for i, m := range in.Messages {
		if err := r.addChat(fmt.Sprintf("/messages/%d", i), m); err != nil {
			return r, err
		}
	}
	if len(r.Messages) == 0 {
		return r, fault.BadField("/messages", "must hold more than a system prompt")
	}
	if err := r.limits(in, p.config.MaxTokens); err != nil {
		return r, err
	}
	if in.User != "" {
		r.Metadata = &metadata{UserID: in.User}
	}
	p.mark(&r)
	return r, r.tools(in)
}

// pointer is where a value of the wrong type stands.
func pointer(err error) string {
	if wrong, ok := err.(*json.UnmarshalTypeError); ok && wrong.Field != "" { //nolint:errorlint // Unmarshal returns it bare
		return "/" + strings.ReplaceAll(strings.TrimPrefix(wrong.Field, "foreign."), ".", "/")
	}
	return ""
}

// limits sets what bounds and shapes the answer. OpenAI's temperature goes up to 2,
// and here to 1, which is as far as it is taken.
func (r *request) limits(in chat, otherwise int) error {
	r.MaxTokens = otherwise
	for _, limit := range []*int{in.MaxTokens, in.MaxCompletion} {
		if limit != nil {
			r.MaxTokens = *limit
		}
	}
	if r.MaxTokens < 1 {
		return fault.BadField("/max_tokens", "must be at least 1")
	}
	if in.Temperature != nil {
		r.Temperature = strconv.AppendFloat(nil, min(*in.Temperature, 1), 'g', -1, 64)
	}
	r.TopP, r.TopK = given(in.TopP), given(in.TopK)
	return r.stops(in.Stop)
}

// given is a value, or nothing where it is null.
func given(value json.RawMessage) json.RawMessage {
	if string(value) == "null" {
		return nil
	}
	return value
}

func (r *request) stops(stop json.RawMessage) error {
	if len(given(stop)) == 0 {
		return nil
	}
	var one string
	if json.Unmarshal(stop, &one) == nil {
		if one != "" {
			r.StopSequences = []string{one}
		}
		return nil
	}
	if json.Unmarshal(stop, &r.StopSequences) != nil {
		return fault.BadField("/stop", "must be a text or a list of texts")
	}
	return nil
}

// noParameters is the schema of a tool that takes none.
const noParameters = `{"type":"object","properties":{}}`

func (r *request) tools(in chat) error {
	for i, t := range in.Tools {
		if t.Type != "function" {
			return fault.BadField(fmt.Sprintf("/tools/%d/type", i), "%q is not supported by this model", t.Type)
		}
		schema := given(t.Function.Parameters)
		if len(schema) == 0 || string(schema) == "{}" {
			schema = json.RawMessage(noParameters)
		}
		r.Tools = append(r.Tools, tool{Name: t.Function.Name, Description: t.Function.Description, InputSchema: schema})
	}
	if len(r.Tools) == 0 {
		return nil
	}
	choice, err := choose(given(in.ToolChoice))
	if err != nil {
		return err
	}
	if in.Parallel != nil && !*in.Parallel {
		if choice == nil {
			choice = &toolChoice{Type: "auto"}
		}
		if choice.Type != "none" {
			choice.Alone = true
		}
	}
	r.ToolChoice = choice
	return nil
}

// choose reads which tool the model may, or must, call.
func choose(choice json.RawMessage) (*toolChoice, error) {
	switch string(choice) {
	case "":
		return nil, nil //nolint:nilnil // none is said
	case `"auto"`:
		return &toolChoice{Type: "auto"}, nil
	case `"none"`:
		return &toolChoice{Type: "none"}, nil
	case `"required"`:
		return &toolChoice{Type: "any"}, nil
	}
	var named struct {
		Type     string `json:"type"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	if json.Unmarshal(choice, &named) != nil || named.Type != "function" || named.Function.Name == "" {
		return nil, fault.BadField("/tool_choice", `must be "auto", "none", "required" or a function's name`)
	}
	return &toolChoice{Type: "tool", Name: named.Function.Name}, nil
}
