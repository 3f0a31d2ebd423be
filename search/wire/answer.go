package wire

import (
	"encoding/json"
	"strconv"

	"github.com/lanewise/lanewise/fault"
)

const maxTurns = 1_000

// AnswerRequest is the body of POST /v1/answer. The fields of the search say
// what the answer may rest on; without text, vector and legs the question itself
// is searched for. An absent k is 8.
type AnswerRequest struct {
	SearchRequest

	Question string `json:"question"`
	Turns    []Turn `json:"turns,omitzero"` // the conversation before the question, oldest first
	Model    string `json:"model,omitzero"` // "": the server's own
	Stream   bool   `json:"stream,omitzero"`

	MaxTokens    int    `json:"max_tokens,omitzero"`    // of the answer; 0: the model's own limit
	Prompt       string `json:"prompt,omitzero"`        // name of a template; "": the server's own
	ContextOrder string `json:"context_order,omitzero"` // "rank", "stable"; "": as the server is configured
	Session      string `json:"session,omitzero"`       // whose prompts go to the same upstream
}

// Turn is one message of a conversation.
type Turn struct {
	Role    string `json:"role"` // "user", "assistant", "system"
	Content string `json:"content"`
}

func (r *AnswerRequest) setDefaults() { r.K = 8 }

func (r *AnswerRequest) check() error {
	switch {
	case r.Question == "":
		return fault.BadField("/question", "must not be empty")
	case r.Cursor != nil:
		return fault.BadField("/cursor", "an answer has no pages")
	case len(r.Turns) > maxTurns:
		return fault.BadField("/turns", "at most %d", maxTurns)
	}
	if err := firstOf(
		checkRange("/max_tokens", r.MaxTokens, 0, 1<<31-1),
		checkWord("/context_order", r.ContextOrder, "rank", "stable"),
	); err != nil {
		return err
	}
	for i, turn := range r.Turns {
		if turn.Role == "" {
			return fault.BadField("/turns/"+strconv.Itoa(i)+"/role", "must be set")
		}
		if err := checkWord("/turns/"+strconv.Itoa(i)+"/role", turn.Role, "user", "assistant", "system"); err != nil {
			return err
		}
	}
	find := r.SearchRequest
	if find.Text == "" && find.Vector == nil && find.Legs == nil {
		find.Text = r.Question
	}
	return find.check()
}

// AnswerResponse is the answer to an [AnswerRequest].
type AnswerResponse struct {
	Answer    string     `json:"answer"` // with marks such as [1]
	Citations []Citation `json:"citations"`
	Model     string     `json:"model"`
	Finish    string     `json:"finish,omitzero"` // "stop", "length", "no_sources", "no_answer", …
	Usage     Usage      `json:"usage"`
	Report    Report     `json:"report"`

	Searched string `json:"searched,omitzero"` // where it is not the question
	// What the model that answers has not read, and marks of the answer that stand for nothing.
	LeftOut          []Citation `json:"left_out,omitzero"` // passages, best first
	TurnsLeftOut     int        `json:"turns_left_out,omitzero"`
	Repacked         bool       `json:"repacked,omitzero"` // for another model than the one that was asked first
	UnknownCitations []int      `json:"unknown_citations,omitzero"`

	Explain json.RawMessage `json:"explain,omitzero"` // a JSON object
}

// Citation is a passage that an answer rests on.
type Citation struct {
	N          int     `json:"n"` // the mark in the answer
	ID         string  `json:"id"`
	Collection string  `json:"collection,omitzero"` // where it is not the request's
	Score      float64 `json:"score"`
	Quote      string  `json:"quote,omitzero"`
}

// Usage counts the tokens of an answer.
type Usage struct {
	PromptTokens     int  `json:"prompt_tokens"`
	CompletionTokens int  `json:"completion_tokens"`
	TotalTokens      int  `json:"total_tokens"`
	Estimated        bool `json:"estimated,omitzero"` // the upstream did not report them

	CachedTokens int     `json:"cached_tokens,omitzero"` // of the prompt's, as the upstream reports
	Cost         float64 `json:"cost,omitzero"`          // where the model has a price
}
