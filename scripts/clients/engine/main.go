// Engine is the model that the clients' checks talk to through a server: it repeats
// what it is told, calls the first tool that it is given, and says on its standard
// output where it listens.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
)

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("http://%s/v1\n", l.Addr())
	http.HandleFunc("POST /v1/chat/completions", chat)
	http.HandleFunc("POST /v1/completions", complete)
	fmt.Fprintln(os.Stderr, http.Serve(l, nil)) //nolint:gosec // for checks on this machine
	os.Exit(1)
}

type object = map[string]any

// request is what the engine reads of a call.
type request struct {
	Model    string
	Stream   bool
	Prompt   string
	N        int
	Messages []struct{ Content string }
	Tools    []struct{ Function struct{ Name string } }
	Logprobs bool
	Options  struct {
		Usage bool `json:"include_usage"`
	} `json:"stream_options"`
}

func chat(w http.ResponseWriter, r *http.Request) {
	var in request
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		refuse(w, err.Error(), "invalid_json")
		return
	}
	said := "You said: " + in.Messages[len(in.Messages)-1].Content
	if strings.Contains(said, "too long") {
		refuse(w, "This model's maximum context length is 8 tokens", "context_length_exceeded")
		return
	}
	if in.Stream {
		in.stream(w, said)
		return
	}
	message, finish := object{"role": "assistant", "content": said}, "stop"
	if len(in.Tools) > 0 {
		message, finish = object{"role": "assistant", "content": nil, "tool_calls": []any{in.tool()}}, "tool_calls"
	}
	var choices []any
	for i := range max(in.N, 1) {
		choice := object{"index": i, "message": message, "finish_reason": finish}
		if in.Logprobs {
			choice["logprobs"] = object{"content": []any{object{"token": "You", "logprob": -0.5, "bytes": nil, "top_logprobs": []any{}}}}
		}
		choices = append(choices, choice)
	}
	send(w, object{"id": "c1", "object": "chat.completion", "created": 1, "model": in.Model, "choices": choices, "usage": usage()})
}

func (in request) tool() object {
	return object{"id": "call_1", "type": "function", "function": object{"name": in.Tools[0].Function.Name, "arguments": `{"lane":3}`}}
}

func usage() object { return object{"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13} }

// stream answers word by word.
func (in request) stream(w http.ResponseWriter, said string) {
	w.Header().Set("Content-Type", "text/event-stream")
	deltas := []object{{"role": "assistant", "content": ""}}
	finish := "stop"
	if len(in.Tools) > 0 {
		call := in.tool()
		call["index"] = 0
		deltas, finish = append(deltas, object{"tool_calls": []any{call}}), "tool_calls"
	} else {
		for _, word := range strings.SplitAfter(said, " ") {
			deltas = append(deltas, object{"content": word})
		}
	}
	chunk := func(choices []any, usage any) {
		data, _ := json.Marshal(object{"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": in.Model, "choices": choices, "usage": usage})
		_, _ = fmt.Fprintf(w, "data: %s\n\n", data)
		_ = http.NewResponseController(w).Flush()
	}
	for _, d := range deltas {
		chunk([]any{object{"index": 0, "delta": d, "finish_reason": nil}}, nil)
	}
	chunk([]any{object{"index": 0, "delta": object{}, "finish_reason": finish}}, nil)
	if in.Options.Usage {
		chunk([]any{}, usage())
	}
	_, _ = fmt.Fprint(w, "data: [DONE]\n\n")
}

func complete(w http.ResponseWriter, r *http.Request) {
	var in request
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		refuse(w, err.Error(), "invalid_json")
		return
	}
	choice := object{"index": 0, "text": in.Prompt + " and on", "finish_reason": "stop", "logprobs": nil}
	body := object{"id": "t1", "object": "text_completion", "created": 1, "model": in.Model, "choices": []any{choice}, "usage": usage()}
	if !in.Stream {
		send(w, body)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	delete(body, "usage")
	data, _ := json.Marshal(body)
	_, _ = fmt.Fprintf(w, "data: %s\n\ndata: [DONE]\n\n", data)
}

func send(w http.ResponseWriter, body object) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, message, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(object{"error": object{"message": message, "type": "invalid_request_error", "param": nil, "code": code}})
}
