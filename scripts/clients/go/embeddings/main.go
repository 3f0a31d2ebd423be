// Embeddings checks POST /v1/embeddings by openai-go: the forms of input that the
// client has, shorter vectors, usage and errors.
package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

type input = openai.EmbeddingNewParamsInputUnion

func main() {
	if err := errors.Join(vectors(), refusals()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func client(key string) openai.Client {
	return openai.NewClient(option.WithBaseURL(os.Getenv("LANEWISE_URL")+"/v1"), option.WithAPIKey(key), option.WithMaxRetries(0))
}

func embed(in input, dims int64) (*openai.CreateEmbeddingResponse, error) {
	c := client(os.Getenv("LANEWISE_KEY"))
	p := openai.EmbeddingNewParams{Model: "static", Input: in}
	if dims > 0 {
		p.Dimensions = openai.Int(dims)
	}
	return c.Embeddings.New(context.Background(), p)
}

func vectors() error {
	text := "read a file line by line"
	one, err := embed(input{OfString: openai.String(text)}, 0)
	if err != nil {
		return err
	}
	many, err := embed(input{OfArrayOfStrings: []string{"sort a slice", text}}, 0)
	if err != nil {
		return err
	}
	if len(many.Data) != 2 || many.Data[1].Index != 1 || len(one.Data[0].Embedding) != 256 ||
		!slices.Equal(many.Data[1].Embedding, one.Data[0].Embedding) {
		return errors.New("a text in a list has another vector than by itself")
	}
	if one.Usage.TotalTokens < 4 || one.Usage.TotalTokens != one.Usage.PromptTokens || one.Model != "static" {
		return fmt.Errorf("usage %+v, model %q", one.Usage, one.Model)
	}
	short, err := embed(input{OfString: openai.String(text)}, 128)
	if err != nil {
		return err
	}
	if n := length(short.Data[0].Embedding); len(short.Data[0].Embedding) != 128 || math.Abs(n-1) > 1e-5 {
		return fmt.Errorf("shortened to %d dims of length %v", len(short.Data[0].Embedding), n)
	}
	return tokens()
}

func length(v []float64) float64 {
	var sum float64
	for _, x := range v {
		sum += x * x
	}
	return math.Sqrt(sum)
}

func tokens() error {
	ids, err := embed(input{OfArrayOfTokens: []int64{2000, 2001, 2002}}, 0)
	if err != nil {
		return err
	}
	lists, err := embed(input{OfArrayOfTokenArrays: [][]int64{{2000, 2001, 2002}, {3000}}}, 0)
	if err != nil {
		return err
	}
	if len(ids.Data) != 1 || len(lists.Data) != 2 || !slices.Equal(ids.Data[0].Embedding, lists.Data[0].Embedding) || ids.Usage.TotalTokens != 3 {
		return errors.New("token ids by themselves and in a list differ")
	}
	return nil
}

func refusals() error {
	_, long := embed(input{OfString: openai.String("a")}, 1000)
	wrong := client("wrong")
	_, key := wrong.Embeddings.New(context.Background(), openai.EmbeddingNewParams{Model: "static", Input: input{OfString: openai.String("a")}})
	return errors.Join(refused(long, 400, "dimensions"), refused(key, 401, ""))
}

func refused(err error, status int, param string) error {
	var e *openai.Error
	if !errors.As(err, &e) || e.StatusCode != status || e.Param != param || e.Type != "invalid_request_error" || e.Message == "" {
		return fmt.Errorf("got %w, want status %d for parameter %q", err, status, param)
	}
	return nil
}
