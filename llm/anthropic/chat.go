package anthropic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/lanewise/lanewise/fault"
)

// chat is a request of OpenAI's /v1/chat/completions, as far as it can be said in
// the words of the Messages API, or must be refused since it cannot.
type chat struct {
	Messages      []chatMessage   `json:"messages"`
	MaxTokens     *int            `json:"max_tokens"`
	MaxCompletion *int            `json:"max_completion_tokens"`
	Temperature   *float64        `json:"temperature"`
	TopP          json.RawMessage `json:"top_p"`
	TopK          json.RawMessage `json:"top_k"`
	Stop          json.RawMessage `json:"stop"` // a string or a list
	Tools         []chatTool      `json:"tools"`
	ToolChoice    json.RawMessage `json:"tool_choice"` // a word or a function's name
	Parallel      *bool           `json:"parallel_tool_calls"`
	User          string          `json:"user"`
	foreign
}

// foreign are the fields that the Messages API has no words for.
type foreign struct {
	N         json.RawMessage `json:"n"`
	Functions json.RawMessage `json:"functions"`
	Call      json.RawMessage `json:"function_call"`
	Logprobs  json.RawMessage `json:"logprobs"`
	Top       json.RawMessage `json:"top_logprobs"`
	Form      struct {
		Type string `json:"type"`
	} `json:"response_format"`
	Bias     json.RawMessage `json:"logit_bias"`
	Presence json.RawMessage `json:"presence_penalty"`
	Repeated json.RawMessage `json:"frequency_penalty"`
	Audio    json.RawMessage `json:"audio"`
}

type chatMessage struct {
	Role      string          `json:"role"`
	Content   json.RawMessage `json:"content"` // a string, a list of parts or null
	Refusal   string          `json:"refusal"`
	ToolCalls []chatCall      `json:"tool_calls"`
	CallID    string          `json:"tool_call_id"`
}

// chatCall is a call of a tool, in a message, or a part of one, in a chunk.
type chatCall struct {
	Index    *int   `json:"index,omitempty"`
	ID       string `json:"id,omitempty"`
	Type     string `json:"type,omitempty"`
	Function struct {
		Name      string `json:"name,omitempty"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

type chatTool struct {
	Type     string `json:"type"`
	Function struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
	} `json:"function"`
}

type chatPart struct {
	Type  string `json:"type"`
	Text  string `json:"text"`
	Image struct {
		URL string `json:"url"`
	} `json:"image_url"`
}

// check refuses what cannot be translated, rather than leave it out: an answer to
// another question is worse than none. Fields that only advise, such as seed, are
// left out.
func (f foreign) check() error {
	for _, field := range []struct {
		name   string
		value  json.RawMessage
		absent string // a value that asks for nothing, beside null
	}{
		{"n", f.N, "1"}, {"functions", f.Functions, "[]"}, {"function_call", f.Call, `"none"`}, {"logprobs", f.Logprobs, "false"},
		{"top_logprobs", f.Top, "0"}, {"logit_bias", f.Bias, "{}"}, {"presence_penalty", f.Presence, "0"},
		{"frequency_penalty", f.Repeated, "0"}, {"audio", f.Audio, "null"},
	} {
		switch value := string(field.value); {
		case value == "", value == "null", value == field.absent:
		case strings.HasSuffix(field.name, "_penalty") && strings.Trim(value, "0.") == "": // 0.0
		case field.name == "n":
			return fault.BadField("/n", "must be 1 for this model, which gives one answer to a call")
		default:
			return fault.BadField("/"+field.name, "is not supported by this model: the Messages API has nothing like it")
		}
	}
	if f.Form.Type != "" && f.Form.Type != "text" {
		return fault.BadField("/response_format", "%q is not supported by this model: have it call a tool with a schema instead", f.Form.Type)
	}
	return nil
}

// add puts a message of OpenAI's to the end of the request. Its error names the
// field by its pointer.
func (r *request) addChat(at string, m chatMessage) error {
	parts, err := readParts(at+"/content", m.Content)
	if err != nil {
		return err
	}
	switch m.Role {
	case "system", "developer":
		r.System = append(r.System, parts...)
	case "user":
		r.addAll("user", parts)
	case "assistant":
		if m.Refusal != "" {
			parts = append(parts, text(m.Refusal))
		}
		r.addAll("assistant", parts)
		return r.addCalls(at, m.ToolCalls)
	case "tool":
		return r.addResult(at, m.CallID, parts)
	default:
		return fault.BadField(at+"/role", "%q is not supported by this model", m.Role)
	}
	return nil
}

func (r *request) addAll(role string, parts []block) {
	for _, b := range parts {
		r.add(role, b)
	}
}

// addCalls puts the tools that the model asked for.
func (r *request) addCalls(at string, calls []chatCall) error {
	for i, c := range calls {
		input := json.RawMessage(strings.TrimSpace(c.Function.Arguments))
		if len(input) == 0 {
			input = json.RawMessage("{}")
		}
		if input[0] != '{' || !json.Valid(input) {
			return fault.BadField(fmt.Sprintf("%s/tool_calls/%d/function/arguments", at, i), "must be a JSON object, as text")
		}
		r.add("assistant", block{Type: "tool_use", ID: c.ID, Name: c.Function.Name, Input: input})
	}
	return nil
}

// addResult puts what a tool gave, which is the user's turn. The results of several
// calls come together in one message.
func (r *request) addResult(at, id string, parts []block) error {
	if id == "" {
		return fault.BadField(at+"/tool_call_id", "is missing")
	}
	b := block{Type: "tool_result", ToolUseID: id}
	if len(parts) > 0 {
		content, err := json.Marshal(parts)
		if err != nil {
			return fault.Wrap(fault.Invalid, "encode "+at, err)
		}
		b.Content = content
	}
	r.add("user", b)
	return nil
}

// readParts reads a content. Texts without a word are left out: the API refuses them.
func readParts(at string, content json.RawMessage) ([]block, error) {
	content = bytes.TrimSpace(content)
	switch {
	case len(content) == 0, string(content) == "null":
		return nil, nil
	case content[0] == '"':
		var s string
		if err := json.Unmarshal(content, &s); err != nil {
			return nil, fault.BadField(at, "is no text")
		}
		if strings.TrimSpace(s) == "" {
			return nil, nil
		}
		return []block{text(s)}, nil
	}
	var parts []chatPart
	if err := json.Unmarshal(content, &parts); err != nil {
		return nil, fault.BadField(at, "must be a text or a list of parts")
	}
	var out []block
	for i, p := range parts {
		switch p.Type {
		case "text", "refusal":
			if strings.TrimSpace(p.Text) != "" {
				out = append(out, text(p.Text))
			}
		case "image_url":
			b, err := image(fmt.Sprintf("%s/%d/image_url/url", at, i), p.Image.URL)
			if err != nil {
				return nil, err
			}
			out = append(out, b)
		default:
			return nil, fault.BadField(fmt.Sprintf("%s/%d/type", at, i), "%q is not supported by this model", p.Type)
		}
	}
	return out, nil
}

// image reads the address of an image: a server's, or one that holds the data.
func image(at, address string) (block, error) {
	b := block{Type: "image", Source: &source{Type: "url", URL: address}}
	rest, inline := strings.CutPrefix(address, "data:")
	if !inline {
		if !strings.HasPrefix(address, "https://") && !strings.HasPrefix(address, "http://") {
			return b, fault.BadField(at, "must begin with https://, http:// or data:")
		}
		return b, nil
	}
	kind, data, ok := strings.Cut(rest, ";base64,")
	if !ok || !strings.HasPrefix(kind, "image/") {
		return b, fault.BadField(at, "must be an image in base64, as data:image/png;base64,…")
	}
	b.Source = &source{Type: "base64", MediaType: kind, Data: data}
	return b, nil
}
