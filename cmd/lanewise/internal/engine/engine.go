// Package engine looks at one collection of an engine, by its URL alone: what it is,
// where its texts seem to be, and which model its vectors could be of.
package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lanewise/lanewise/config"
	"github.com/lanewise/lanewise/embed/openai"
	"github.com/lanewise/lanewise/embed/static"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// Options name a collection and say what of it is what. Empty fields are found out.
type Options struct {
	Name   string // that the collection has here; empty: docs
	URL    string // such as qdrant://host:6334/docs
	Key    string // API key or password, where the URL holds none
	ID     string // field of the ids
	Text   string // field of the texts
	Vector string // field or name of the vectors
	Meta   string // field of the metadata
	Metric string // of a table without an index
}

// Source is an open collection of an engine.
type Source struct {
	config.Engine
	Replica  config.Replica
	External config.External
	search.Stats
	Guessed bool // the field of the texts was
}

// patience bounds the questions about a collection.
const patience = 10 * time.Second

// Open connects and finds out what the collection is.
func Open(ctx context.Context, o Options) (*Source, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	replica, name, err := config.EngineReplica(o.URL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the engine's URL %w", err)
	case name == "":
		return nil, fault.New(fault.Invalid, "%s names no collection: write it at the end, as in %s/docs", replica.URL, replica.URL)
	}
	replica.Key = cmp.Or(replica.Key, config.Secret(o.Key))
	s := &Source{Replica: replica, External: config.External{
		Name: cmp.Or(o.Name, "docs"), Placement: string(search.ByExternal), From: name,
		ID: o.ID, Text: o.Text, Vector: o.Vector, Metadata: o.Meta, Metric: o.Metric,
	}}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if o.Text == "" {
		if err := s.guess(ctx); err != nil {
			return nil, errors.Join(advise(replica, err), s.Close())
		}
	}
	return s, nil
}

func (s *Source) open(ctx context.Context) error {
	var err error
	if s.Engine, err = config.OpenEngine(s.Replica, s.External); err != nil {
		return err
	}
	all, err := s.Engine.Stats(ctx, s.External.Name)
	if err == nil && len(all) != 1 {
		err = fault.New(fault.Unavailable, "%s does not describe the collection", s.Replica.URL)
	}
	if err != nil {
		return errors.Join(advise(s.Replica, err), s.Close())
	}
	s.Stats = all[0]
	return nil
}

// usualFields are where programs put the texts, the most telling names first.
const usualFields = "text content page_content document chunk passage body chunk_text"

// guess finds the field of the texts in the first points: a text in each of them.
func (s *Source) guess(ctx context.Context) error {
	points, _, err := s.Walk(ctx, s.External.Name, "", 5)
	if err != nil || len(points) == 0 {
		return err
	}
	for field := range strings.FieldsSeq(usualFields) {
		found := 0
		for _, p := range points {
			var members map[string]json.RawMessage
			var text string
			if json.Unmarshal(p.Meta, &members) == nil && json.Unmarshal(members[field], &text) == nil && text != "" {
				found++
			}
		}
		if found == len(points) {
			s.External.Text, s.Guessed = field, true
			if err := s.Close(); err != nil {
				return err
			}
			return s.open(ctx)
		}
	}
	return nil
}

// Describe is what the collection is, in one line.
func (s *Source) Describe() string {
	c := s.Collection
	return fmt.Sprintf("%s/%s: %d points of %d dims, %s", s.Replica.URL, s.External.From, s.Points, c.Dims, c.Metric)
}

// advise adds what to do about an error that newcomers meet.
func advise(r config.Replica, err error) error {
	scheme, _, _ := strings.Cut(r.URL, "://")
	switch {
	case errors.Is(err, fault.Refused):
		return fmt.Errorf("%w; put the key or password into LANEWISE_ENGINE_KEY", err)
	case errors.Is(err, fault.Unavailable) && scheme == "qdrant", errors.Is(err, context.DeadlineExceeded) && scheme == "qdrant":
		return fmt.Errorf("%w; is it the port of gRPC, which is 6334 unless it was changed (6333 is that of HTTP), and is ?tls=true needed?", err)
	case errors.Is(err, fault.Unavailable) && scheme == "weaviate", errors.Is(err, context.DeadlineExceeded) && scheme == "weaviate":
		return fmt.Errorf("%w; are host and port right? Points come over gRPC, from port 50051 unless ?grpc=HOST:PORT names another", err)
	case errors.Is(err, fault.Unavailable), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w; are host and port right, and is the collection loaded?", err)
	case fault.Of(err) == fault.Conflict && strings.Contains(err.Error(), "metric"):
		return fmt.Errorf("%w: --metric cosine, dot or euclidean", err)
	}
	return err
}

// Model says which model made the vectors: "static", the one that is built in, or
// URL#MODEL on a server with OpenAI's interface.
type Model struct {
	Spec string
	Key  string // of the server
}

// Embedder returns the upstream of a model, and the id of its space. The server is asked
// for the length of its vectors, which must be the collection's.
func (s *Source) Embedder(ctx context.Context, m Model) (config.EmbedUpstream, string, error) {
	if m.Spec == "" {
		return config.EmbedUpstream{}, "", s.lacksModel()
	}
	if m.Spec == "static" {
		p, err := static.New()
		if err != nil {
			return config.EmbedUpstream{}, "", err
		}
		return config.EmbedUpstream{Kind: "static"}, p.Space().ID(), s.fits(m.Spec, p.Space().Dims)
	}
	address, model, ok := strings.Cut(m.Spec, "#")
	if !ok || address == "" || model == "" {
		return config.EmbedUpstream{}, "", fault.New(fault.Invalid, "--embed %s: write it as URL#MODEL, such as http://127.0.0.1:8000/v1#my-model, or static", m.Spec)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p, err := openai.New(ctx, openai.Config{URL: address, Model: model, Key: m.Key})
	if err != nil {
		return config.EmbedUpstream{}, "", fmt.Errorf("--embed %s: %w", m.Spec, err)
	}
	space := p.Space()
	return config.EmbedUpstream{Kind: "openai", URL: address, Model: model, Key: config.Secret(m.Key), Dims: space.Dims},
		space.ID(), errors.Join(s.fits(m.Spec, space.Dims), p.Close())
}

func (s *Source) fits(model string, dims int) error {
	if want := s.Collection.Dims; dims != want {
		return fault.New(fault.Invalid, "--embed %s gives vectors of %d dims, the collection has %d: it was made with another model", model, dims, want)
	}
	return nil
}

// lacksModel says what was found and what to add. Dims alone do not tell a model.
func (s *Source) lacksModel() error {
	advice := "add --embed URL#MODEL with the model that its vectors were made with, on any server with OpenAI's /v1/embeddings"
	if p, err := static.New(); err == nil && p.Space().Dims == s.Collection.Dims {
		advice += "; --embed static is the model that is built in, which has as many dims"
	}
	return fault.New(fault.Invalid, "found %s. To search it by text lanewise must embed the question into the same space, and dims do not tell which that is: %s",
		s.Describe(), advice)
}

// Config describes a router over nothing but this collection.
func (s *Source) Config(u config.EmbedUpstream, space string) *config.Config {
	x := s.External
	x.Space = space
	return &config.Config{
		Shards:      []config.Shard{{Name: "s0", Replicas: []config.Replica{s.Replica}}},
		Collections: []config.External{x},
		Embed:       config.Embed{Upstreams: []config.EmbedUpstream{u}},
	}
}
