package config

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/embed/cohere"
	"github.com/lanewise/lanewise/embed/ollama"
	"github.com/lanewise/lanewise/embed/openai"
	"github.com/lanewise/lanewise/embed/static"
	"github.com/lanewise/lanewise/embed/tei"
)

// Kinds of embedding upstreams, beside static and openai.
const (
	kindTEI    = "tei"
	kindOllama = "ollama"
	kindCohere = "cohere"
)

// watchEvery is how often an upstream is held to its space.
const watchEvery = 5 * time.Minute

// openEmbedders returns a lane for each space, in the order of their first
// upstreams.
func (s *System) openEmbedders(ctx context.Context, c Embed) ([]embed.Provider, error) {
	var order []embed.Space
	lanes := map[embed.Space][]embed.Upstream{}
	shown := map[embed.Space][]gauged{}
	shortens := map[embed.Space]bool{}
	for i, u := range c.Upstreams {
		bucket, client, err := s.quota(u.Quota, "embed/"+u.Name) //nolint:contextcheck // the leases outlive the start
		if err != nil {
			return nil, fmt.Errorf("embed.upstreams[%d]: %w", i, err)
		}
		provider, err := s.embedProvider(ctx, u, client)
		if err != nil {
			return nil, fmt.Errorf("embed.upstreams[%d]: %w", i, err)
		}
		space := provider.Space()
		if lanes[space] == nil {
			order = append(order, space)
		}
		// The built-in model's dims are in the order of their weight: the first 128 alone
		// find 135 answers where all find 140 (internal/quality, in the first ten).
		shortens[space] = shortens[space] || u.SendDims || u.Kind == kindStatic
		up := embed.Upstream{Name: u.Name, Provider: provider, Weight: u.Weight, Slots: u.Slots, Tier: u.Tier, Aborts: u.Aborts, Limits: u.limits(), Quota: bucket}
		if u.Kind == kindStatic { // in this process: one call more than processors keeps them busy
			up.Aborts, up.Zeros, up.Slots = true, true, cmp.Or(u.Slots, runtime.GOMAXPROCS(0)+1)
		}
		lanes[space] = append(lanes[space], up)
		if u.Metrics != "" {
			shown[space] = append(shown[space], gauged{u.Name, u.Metrics, busyEmbedder(provider, u.limits())})
		}
	}
	var out []embed.Provider
	for _, space := range order {
		lane, err := embed.New(embed.Config{ //nolint:contextcheck // its watch over the upstreams outlives this call
			Name: "embed " + space.ID(), Upstreams: lanes[space], CacheBytes: int64(c.Cache) / int64(len(order)), Long: embed.Long(c.Long), Shortens: shortens[space], Watch: watchEvery,
		})
		if err != nil {
			return nil, fmt.Errorf("embed: %w", err)
		}
		s.opened(lane.Close)
		s.measure(lane, shown[space]) //nolint:contextcheck // it outlives the start
		out = append(out, lane)
	}
	return out, nil
}

// limits are those that the configuration states.
func (u EmbedUpstream) limits() embed.Limits {
	limits, _ := embed.Preset(u.Preset)
	limits.Inputs = cmp.Or(u.Batch.Inputs, limits.Inputs)
	limits.Tokens = cmp.Or(u.Batch.Tokens, limits.Tokens)
	limits.Bytes = cmp.Or(int(u.Batch.Bytes), limits.Bytes)
	limits.Window = u.Window
	return limits
}

func (s *System) embedProvider(ctx context.Context, u EmbedUpstream, client *http.Client) (embed.Provider, error) {
	if u.Kind == kindStatic {
		return static.New()
	}
	p, err := u.open(ctx, client)
	if err != nil {
		return nil, err
	}
	s.opened(p.Close)
	return p, nil
}

// closable is a provider that holds connections.
type closable interface {
	embed.Provider
	io.Closer
}

// open makes the provider of a server, which is not called yet: its model and
// dims are stated. client carries the calls; nil: one of its own.
func (u EmbedUpstream) open(ctx context.Context, client *http.Client) (closable, error) {
	keys := make([]string, len(u.Keys))
	for i, key := range u.Keys {
		keys[i] = string(key)
	}
	switch u.Kind {
	case kindTEI:
		return tei.New(ctx, tei.Config{
			URL: u.URL, Key: string(u.Key), Keys: keys, Model: u.Model, Dims: u.Dims, Revision: u.Revision, Raw: !u.Normalized,
			QueryPrefix: u.QueryPrefix, DocumentPrefix: u.DocumentPrefix, Limits: u.limits(), Client: client,
		})
	case kindOllama:
		return ollama.New(ctx, ollama.Config{
			URL: u.URL, Key: string(u.Key), Model: u.Model, Dims: u.Dims, SendDimensions: u.SendDims, Revision: u.Revision, Raw: !u.Normalized,
			QueryPrefix: u.QueryPrefix, DocumentPrefix: u.DocumentPrefix, Limits: u.limits(), Client: client,
		})
	case kindCohere:
		return cohere.New(ctx, cohere.Config{
			URL: u.URL, Key: string(u.Key), Keys: keys, Model: u.Model, Dims: u.Dims, SendDimensions: u.SendDims, Revision: u.Revision,
			Normalized: u.Normalized, QueryType: u.QueryType, DocumentType: u.DocumentType, Limits: u.limits(), Client: client,
		})
	}
	return openai.New(ctx, openai.Config{
		URL: u.URL, Key: string(u.Key), Keys: keys, KeyHeader: u.KeyHeader, Model: u.Model, Dims: u.Dims, Revision: u.Revision,
		Normalized: u.Normalized, SendDimensions: u.SendDims, Base64: u.Base64, QueryPrefix: u.QueryPrefix, DocumentPrefix: u.DocumentPrefix,
		QueryType: u.QueryType, DocumentType: u.DocumentType, Limits: u.limits(), Client: client,
	})
}

// embedders checks the embedding lane.
func (v *validator) embedders(c Embed) {
	v.check(c.Long == "" || c.Long == string(embed.Refuse) || c.Long == string(embed.Truncate), "embed.long", "is neither refuse nor truncate")
	names := map[string]string{}
	for i, u := range c.Upstreams {
		path := fmt.Sprintf("embed.upstreams[%d]", i)
		v.unique(names, u.Name, path+".name")
		v.load(path, u.Weight, u.Slots, u.Tier)
		if !v.kind(path, u.Kind, kindStatic, kindOpenAI, kindTEI, kindOllama, kindCohere) {
			continue
		}
		v.bare(path, u.foreign())
		v.gauge(path, u.Metrics, u.Aborts, u.Quota)
		if u.Kind == kindStatic {
			continue
		}
		v.openAI(path, u.URL, u.Model)
		v.check(u.Dims >= 1, path+".dims", "missing: how long are the model's vectors?")
		v.check(u.Batch.Inputs >= 0 && u.Batch.Tokens >= 0, path+".batch", "must not be negative")
		v.check(u.Window >= 0, path+".window", "must not be negative")
		if _, known := embed.Preset(u.Preset); !known {
			v.check(u.Preset == "", path+".preset", "is none of openai, azure, vertex, infinity, tei and cohere")
		}
	}
}

// foreign lists the keys that have no meaning for the upstream's kind, and
// whether they are given.
func (u EmbedUpstream) foreign() map[string]bool {
	given := map[string]bool{}
	only := func(key string, is bool, kinds ...string) {
		given[key] = is && !slices.Contains(kinds, u.Kind)
	}
	servers := []string{kindOpenAI, kindTEI, kindOllama, kindCohere}
	only("url", u.URL != "", servers...)
	only("key", u.Key != "", servers...)
	only("keys", len(u.Keys) > 0, kindOpenAI, kindTEI, kindCohere)
	only("key_header", u.KeyHeader != "", kindOpenAI)
	only("model", u.Model != "", servers...)
	only("dims", u.Dims != 0, servers...)
	only("revision", u.Revision != "", servers...)
	only("normalized", u.Normalized, servers...)
	only("send_dims", u.SendDims, kindOpenAI, kindOllama, kindCohere)
	only("query_prefix", u.QueryPrefix != "", kindOpenAI, kindTEI, kindOllama)
	only("document_prefix", u.DocumentPrefix != "", kindOpenAI, kindTEI, kindOllama)
	only("query_type", u.QueryType != "", kindOpenAI, kindCohere)
	only("document_type", u.DocumentType != "", kindOpenAI, kindCohere)
	only("base64", u.Base64, kindOpenAI)
	only("preset", u.Preset != "", servers...)
	only("batch", u.Batch != Batch{}, servers...)
	only("window", u.Window != 0, servers...)
	only("metrics", u.Metrics != "", servers...)
	return given
}
