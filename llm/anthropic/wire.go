package anthropic

import "encoding/json"

// request is the body of a call.
type request struct {
	Model         string          `json:"model"`
	System        []block         `json:"system,omitempty"`
	Messages      []message       `json:"messages"`
	MaxTokens     int             `json:"max_tokens"`
	StopSequences []string        `json:"stop_sequences,omitempty"`
	Temperature   json.RawMessage `json:"temperature,omitempty"`
	TopP          json.RawMessage `json:"top_p,omitempty"`
	TopK          json.RawMessage `json:"top_k,omitempty"`
	Tools         []tool          `json:"tools,omitempty"`
	ToolChoice    *toolChoice     `json:"tool_choice,omitempty"`
	Metadata      *metadata       `json:"metadata,omitempty"`
	Stream        bool            `json:"stream,omitempty"`
}

// add puts a block at the end of the conversation: in the last message, if that is
// of the same role, since the API wants user and assistant in turn.
func (r *request) add(role string, b block) {
	if n := len(r.Messages); n > 0 && r.Messages[n-1].Role == role {
		r.Messages[n-1].Content = append(r.Messages[n-1].Content, b)
		return
	}
	r.Messages = append(r.Messages, message{Role: role, Content: []block{b}})
}

// message is one turn.
type message struct {
	Role    string  `json:"role"`
	Content []block `json:"content"`
}

// block is a part of a message, of a request or of an answer. Type says which
// fields count.
type block struct {
	Type         string          `json:"type"`
	Text         string          `json:"text,omitempty"`
	Thinking     string          `json:"thinking,omitempty"`
	ID           string          `json:"id,omitempty"`          // tool_use
	Name         string          `json:"name,omitempty"`        // tool_use
	Input        json.RawMessage `json:"input,omitempty"`       // tool_use
	ToolUseID    string          `json:"tool_use_id,omitempty"` // tool_result
	Content      json.RawMessage `json:"content,omitempty"`     // tool_result
	Source       *source         `json:"source,omitempty"`      // image
	CacheControl *cacheControl   `json:"cache_control,omitempty"`
}

func text(s string) block { return block{Type: "text", Text: s} }

// source is where an image comes from: base64 data, or a URL.
type source struct {
	Type      string `json:"type"`
	MediaType string `json:"media_type,omitempty"`
	Data      string `json:"data,omitempty"`
	URL       string `json:"url,omitempty"`
}

type cacheControl struct {
	Type string `json:"type"`
}

// tool is a function that the model may ask for.
type tool struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	InputSchema json.RawMessage `json:"input_schema"`
}

type toolChoice struct {
	Type  string `json:"type"` // auto, any, tool, none
	Name  string `json:"name,omitempty"`
	Alone bool   `json:"disable_parallel_tool_use,omitempty"` // one tool at a time
}

type metadata struct {
	UserID string `json:"user_id"`
}

// reply is a whole answer, or what is known of a streamed one at its beginning.
type reply struct {
	ID         string  `json:"id"`
	Type       string  `json:"type"`
	Model      string  `json:"model"`
	Content    []block `json:"content"`
	StopReason string  `json:"stop_reason"`
	Usage      usage   `json:"usage"`
}

// usage counts tokens. What the cache had, and what it took in, is not part of Input.
type usage struct {
	Input   *int `json:"input_tokens"`
	Output  *int `json:"output_tokens"`
	Read    *int `json:"cache_read_input_tokens"`
	Created *int `json:"cache_creation_input_tokens"`
}

// event is a part of a streamed answer.
type event struct {
	Type    string `json:"type"`
	Index   int    `json:"index"`
	Message *reply `json:"message"`       // message_start
	Block   block  `json:"content_block"` // content_block_start
	Delta   struct {
		Type       string `json:"type"` // text_delta, input_json_delta, thinking_delta, …
		Text       string `json:"text"`
		Partial    string `json:"partial_json"`
		Thinking   string `json:"thinking"`
		StopReason string `json:"stop_reason"` // message_delta
	} `json:"delta"`
	Usage usage `json:"usage"` // message_delta; counts from the beginning

	more bool // another event has arrived already
}

// The types of events that matter here.
const (
	messageStart = "message_start"
	blockStart   = "content_block_start"
	blockDelta   = "content_block_delta"
	blockStop    = "content_block_stop"
	messageDelta = "message_delta"
	messageStop  = "message_stop"
)

// finishReason says why an answer ended with OpenAI's words.
func finishReason(stop string) string {
	switch stop {
	case "max_tokens", "model_context_window_exceeded":
		return "length"
	case "tool_use":
		return "tool_calls"
	case "refusal":
		return "content_filter"
	}
	return "stop" // end_turn, stop_sequence, pause_turn, and what is not known yet
}
