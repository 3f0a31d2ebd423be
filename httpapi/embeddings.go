package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
)

const (
	maxInputs  = 16_384 // of one request; the lane splits them as its upstreams want it
	fewInputs  = 16     // more are taken for ingestion, and give way to others
	embedLimit = time.Minute
)

// embeddingsRequest is the body of POST /v1/embeddings. Fields that it lacks are
// ignored: clients send what other servers want.
type embeddingsRequest struct {
	Model      string         `json:"model"`
	Input      embeddingInput `json:"input"`
	Encoding   string         `json:"encoding_format,omitempty"`
	Dimensions int            `json:"dimensions,omitempty"`
	InputType  string         `json:"input_type,omitempty"`
	User       string         `json:"user,omitempty"`
}

// embeddingsResponse is its answer, as the contract shows it.
type embeddingsResponse struct {
	Object    string         `json:"object"`
	Data      []embedding    `json:"data"`
	Model     string         `json:"model"`
	Usage     embeddingUsage `json:"usage"`
	Space     string         `json:"space"`
	Truncated []int          `json:"truncated,omitempty"`
}

type embedding struct {
	Object    string     `json:"object"`
	Index     int        `json:"index"`
	Embedding jsonVector `json:"embedding"`
}

type embeddingUsage struct {
	Prompt int `json:"prompt_tokens"`
	Total  int `json:"total_tokens"`
}

// embeddingInput is a text, a list of texts, a text as token ids or a list of such.
type embeddingInput struct {
	texts []string
	ids   [][]uint32
}

// UnmarshalJSON tells the forms apart by how they begin.
func (in *embeddingInput) UnmarshalJSON(data []byte) error {
	switch begin := append(lead(data, 2), 0, 0); {
	case begin[0] == '"':
		in.texts = make([]string, 1)
		return json.Unmarshal(data, &in.texts[0])
	case begin[0] == '[' && begin[1] == '"':
		return json.Unmarshal(data, &in.texts)
	case begin[0] == '[' && begin[1] == '[':
		return json.Unmarshal(data, &in.ids)
	case begin[0] == '[' && begin[1] != ']':
		in.ids = make([][]uint32, 1)
		return json.Unmarshal(data, &in.ids[0])
	}
	return errors.New("neither texts nor token ids")
}

// lead returns the first n bytes that are no white space.
func lead(data []byte, n int) []byte {
	out := make([]byte, 0, n+2)
	for _, b := range data {
		if !bytes.ContainsRune([]byte(" \t\r\n"), rune(b)) {
			out = append(out, b)
		}
		if len(out) == n {
			break
		}
	}
	return out
}

// Schema lists the four forms.
func (embeddingInput) Schema(huma.Registry) *huma.Schema {
	text, id := &huma.Schema{Type: "string"}, &huma.Schema{Type: "integer"}
	list := func(of *huma.Schema) *huma.Schema { return &huma.Schema{Type: "array", Items: of} }
	return &huma.Schema{OneOf: []*huma.Schema{text, list(text), list(id), list(list(id))}}
}

// Schema is a list of numbers, or the same as text.
func (jsonVector) Schema(r huma.Registry) *huma.Schema { return vectorSchema{}.Schema(r) }

// embeddingRoutes is the lane of texts by itself.
func (s *server) embeddingRoutes() []route {
	return []route{{
		method: "POST", path: "/v1/embeddings", id: "embeddings", scope: access.Embed, reach: reachesHeader, tag: tagEmbeddings, handle: s.embeddings, openAI: true,
		in: typeOf[embeddingsRequest](), out: typeOf[embeddingsResponse](),
		example: `{"model": "static", "input": ["read a file line by line", "sort a slice"]}`,
		summary: "Texts as vectors, for clients of OpenAI's API",
		detail: "Embeds texts, or texts as token ids of the model, with the upstreams of a model. Requests of more than " + strconv.Itoa(fewInputs) +
			" texts count as ingestion: they give way to others and are not cached. Errors have OpenAI's form. Unknown fields are ignored.",
	}}
}

// embeddings answers POST /v1/embeddings.
func (s *server) embeddings(w *recorder, r *http.Request) error {
	data, err := s.body(w, r)
	if err != nil {
		return err
	}
	var body embeddingsRequest
	if err := json.Unmarshal(data, &body); err != nil {
		return blameJSON(err)
	}
	lane, err := s.laneOf(body.Model)
	if err != nil {
		return err
	}
	batch, dims, err := body.batch(lane)
	if err != nil {
		return err
	}
	w.event.Tenant = r.Header.Get(headerTenant)
	if err := s.charge(w, r, []string{w.event.Tenant}, estimateBatch(batch)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), embedLimit)
	defer cancel()
	v, err := lane.Embed(ctx, batch)
	if err != nil {
		return fmt.Errorf("model %q: %w", body.Model, err)
	}
	w.event.Model, w.event.Usage.PromptTokens = lane.Space().Model, v.Tokens
	s.send(w, answer{}, body.answer(lane.Space(), shorten(v, dims, lane.Space().Normalized)))
	return nil
}

// blameJSON names the field that cannot be read.
func blameJSON(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		return fault.BadField("/"+strings.ReplaceAll(wrong.Field, ".", "/"), "must not be a %s", wrong.Value)
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fault.Wrap(fault.Invalid, "read the body as JSON", err)
	}
	return fault.BadField("/input", "must be a text, a list of texts, a list of token ids or a list of such lists: %v", err)
}

// laneOf returns the lane of a model, which is named as in its space or by the
// whole space.
func (s *server) laneOf(model string) (embed.Provider, error) {
	var known []string
	for _, lane := range s.embedders {
		space := lane.Space()
		if model == space.Model || model == space.ID() {
			return lane, nil
		}
		known = append(known, strconv.Quote(space.Model))
	}
	if model == "" {
		return nil, fault.BadField("/model", "is missing; known here: %s", strings.Join(known, ", "))
	}
	return nil, &fault.Error{Class: fault.NotFound, Field: "/model",
		Message: fmt.Sprintf("there is no embedding model %q; known here: %s", model, strings.Join(known, ", "))}
}

// batch checks the request and returns what to embed, and the length of the
// vectors that are wanted.
func (b *embeddingsRequest) batch(lane embed.Provider) (out embed.Batch, dims int, err error) {
	out = embed.Batch{Texts: b.Input.texts, IDs: b.Input.ids, Task: embed.DocumentTask}
	out.Bulk = out.Len() > fewInputs
	switch b.InputType {
	case "", "document", "passage", "search_document":
	case "query", "search_query":
		out.Task = embed.QueryTask
	default:
		return out, 0, fault.BadField("/input_type", "is neither query nor document")
	}
	if b.Encoding != "" && b.Encoding != "float" && b.Encoding != "base64" {
		return out, 0, fault.BadField("/encoding_format", "is neither float nor base64")
	}
	if out.Len() == 0 || out.Len() > maxInputs {
		return out, 0, fault.BadField("/input", "must hold 1 to %d texts, holds %d", maxInputs, out.Len())
	}
	for i := range out.Len() {
		if out.IDs == nil && out.Texts[i] == "" || out.IDs != nil && len(out.IDs[i]) == 0 {
			return out, 0, fault.BadField("/input/"+strconv.Itoa(i), "is empty")
		}
	}
	dims, err = b.dims(lane)
	return out, dims, err
}

// dims returns the length of the vectors that are wanted.
func (b *embeddingsRequest) dims(lane embed.Provider) (int, error) {
	whole := lane.Space().Dims
	s, ok := lane.(interface{ Shortens() bool })
	switch {
	case b.Dimensions == 0 || b.Dimensions == whole:
		return whole, nil
	case b.Dimensions < 0 || b.Dimensions > whole:
		return 0, fault.BadField("/dimensions", "must be between 1 and %d", whole)
	case !ok || !s.Shortens():
		return 0, fault.BadField("/dimensions", "model %q has vectors of %d dims that cannot be shortened", b.Model, whole)
	}
	return b.Dimensions, nil
}

// shorten cuts every vector to its first dims, brought to length 1 where the whole was.
func shorten(v embed.Vectors, dims int, normalized bool) embed.Vectors {
	if dims == v.Dims {
		return v
	}
	out := embed.Vectors{Dims: dims, Data: make([]float32, 0, v.Rows()*dims), Tokens: v.Tokens, Truncated: v.Truncated}
	for i := range v.Rows() {
		row := v.Row(i)[:dims]
		scale := 1.0
		if normalized {
			scale = 1 / cmp.Or(length(row), 1)
		}
		for _, x := range row {
			out.Data = append(out.Data, float32(float64(x)*scale))
		}
	}
	return out
}

func length(v []float32) float64 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}

// answer encodes vectors. The numbers are most of it, so that they are written
// without the detour over a value for each.
func (b *embeddingsRequest) answer(space embed.Space, v embed.Vectors) []byte {
	out := embeddingsResponse{
		Object: "list", Data: make([]embedding, v.Rows()), Model: b.Model, Space: space.ID(), Truncated: v.Truncated,
		Usage: embeddingUsage{v.Tokens, v.Tokens},
	}
	for i := range out.Data {
		out.Data[i] = embedding{Object: "embedding", Index: i, Embedding: jsonVector{row: v.Row(i), base64: b.Encoding == "base64"}}
	}
	data, err := json.Marshal(out)
	if err != nil {
		panic(err) // a defect: lanes return finite numbers
	}
	return data
}

// jsonVector is a vector as a list of numbers or as the base64 of little-endian
// float32.
type jsonVector struct {
	row    []float32
	base64 bool
}

// MarshalJSON writes either form; numbers are the shortest that read back alike.
func (v jsonVector) MarshalJSON() ([]byte, error) {
	if v.base64 {
		raw := make([]byte, 0, 4*len(v.row))
		for _, x := range v.row {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
		}
		out := make([]byte, 0, len(raw)*4/3+8)
		return append(base64.StdEncoding.AppendEncode(append(out, '"'), raw), '"'), nil
	}
	out := make([]byte, 0, 12*len(v.row)+2)
	out = append(out, '[')
	for i, x := range v.row {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendFloat(out, float64(x), 'g', -1, 32)
	}
	return append(out, ']'), nil
}
