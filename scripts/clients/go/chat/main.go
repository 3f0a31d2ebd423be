// Chat checks /v1/chat/completions, /v1/completions and /v1/models by openai-go:
// whole, streamed, tools, usage and errors.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

func main() {
	if err := errors.Join(whole(), streamed(), tools(), completion(), models(), refusals()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func client(key string) openai.Client {
	return openai.NewClient(option.WithBaseURL(os.Getenv("LANEWISE_URL")+"/v1"), option.WithAPIKey(key), option.WithMaxRetries(0))
}

func own() openai.Client { return client(os.Getenv("LANEWISE_KEY")) }

func say(text string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: "echo", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(text)}}
}

func whole() error {
	c := own()
	p := say("hi")
	p.N = openai.Int(2)
	got, err := c.Chat.Completions.New(context.Background(), p)
	if err != nil {
		return err
	}
	if len(got.Choices) != 2 || got.Choices[1].Message.Content != "You said: hi" || got.Usage.TotalTokens != 13 {
		return fmt.Errorf("chat: %s", got.RawJSON())
	}
	return nil
}

func streamed() error {
	c := own()
	p := say("word by word")
	p.StreamOptions.IncludeUsage = openai.Bool(true)
	stream := c.Chat.Completions.NewStreaming(context.Background(), p)
	defer stream.Close() //nolint:errcheck // read only
	var sum openai.ChatCompletionAccumulator
	for stream.Next() {
		if !sum.AddChunk(stream.Current()) {
			return fmt.Errorf("stream: a chunk does not fit: %s", stream.Current().RawJSON())
		}
	}
	if err := stream.Err(); err != nil {
		return err
	}
	if sum.Choices[0].Message.Content != "You said: word by word" || sum.Usage.TotalTokens != 13 {
		return fmt.Errorf("stream: %+v", sum.ChatCompletion)
	}
	return nil
}

func tools() error {
	c := own()
	p := say("which?")
	p.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: "take"})}
	got, err := c.Chat.Completions.New(context.Background(), p)
	if err != nil {
		return err
	}
	if calls := got.Choices[0].Message.ToolCalls; len(calls) != 1 || calls[0].Function.Arguments != `{"lane":3}` {
		return fmt.Errorf("tools: %s", got.RawJSON())
	}
	return nil
}

func completion() error {
	c := own()
	got, err := c.Completions.New(context.Background(), openai.CompletionNewParams{
		Model: "echo", Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("on")},
	})
	if err != nil {
		return err
	}
	if got.Choices[0].Text != "on and on" {
		return fmt.Errorf("completion: %s", got.RawJSON())
	}
	return nil
}

func models() error {
	c := own()
	page, err := c.Models.List(context.Background())
	if err != nil {
		return err
	}
	for _, m := range page.Data {
		if m.ID == "echo" {
			return nil
		}
	}
	return fmt.Errorf("models: %s", page.RawJSON())
}

func refusals() error {
	c, wrong := own(), client("wrong")
	_, long := c.Chat.Completions.New(context.Background(), say("too long"))
	p := say("hi")
	p.Model = "none"
	_, missing := c.Chat.Completions.New(context.Background(), p)
	_, key := wrong.Chat.Completions.New(context.Background(), say("hi"))
	return errors.Join(refused(long, 400, "context_length_exceeded"), refused(missing, 404, "model_not_found"), refused(key, 401, "invalid_api_key"))
}

func refused(err error, status int, code string) error {
	var e *openai.Error
	if !errors.As(err, &e) || e.StatusCode != status || e.Code != code {
		return fmt.Errorf("got %w, want status %d and code %q", err, status, code)
	}
	return nil
}
