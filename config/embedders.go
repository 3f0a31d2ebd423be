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

	"github.com/lanewise/lanewise/discovery"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/embed/cohere"
	"github.com/lanewise/lanewise/embed/diskcache"
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

// leastCacheFile is the least size of a cache on disk.
const leastCacheFile = 1 << 20

// watchEvery is how often an upstream is held to its space.
const watchEvery = 5 * time.Minute

// embedLane is what goes into the lane of one space.
type embedLane struct {
	space     embed.Space
	from      []EmbedUpstream
	upstreams []embed.Upstream
	shown     []gauged
	shortens  bool
	remote    bool // a call costs more than a look at the disk
}

// openEmbedders returns a lane for each space, in the order of their first
// upstreams.
func (s *System) openEmbedders(ctx context.Context, c Embed) ([]embed.Provider, error) {
	var lanes []*embedLane
	for i, u := range c.Upstreams {
		up, err := s.embedUpstream(ctx, u)
		if err != nil {
			return nil, fmt.Errorf("embed.upstreams[%d]: %w", i, err)
		}
		space := up.Provider.Space()
		at := slices.IndexFunc(lanes, func(l *embedLane) bool { return l.space == space })
		if at < 0 {
			at = len(lanes)
			lanes = append(lanes, &embedLane{space: space})
		}
		lanes[at].add(u, up)
	}
	shelf, err := s.openShelf(c)
	if err != nil {
		return nil, err
	}
	var out []embed.Provider
	for _, l := range lanes {
		config := embed.Config{
			Name: "embed " + l.space.ID(), Upstreams: l.upstreams, Long: embed.Long(c.Long), Shortens: l.shortens, Watch: watchEvery,
			CacheBytes: int64(c.Cache) / int64(len(lanes)), CacheTTL: c.CacheTTL, Trace: s.trace(),
		}
		if l.remote && shelf != nil {
			config.Shelf = shelf
		}
		lane, err := embed.New(config) //nolint:contextcheck // its watch over the upstreams outlives this call
		if err != nil {
			return nil, fmt.Errorf("embed: %w", err)
		}
		s.opened(lane.Close)
		s.measure(lane, l.shown)                          //nolint:contextcheck // it outlives the start
		s.discoverEmbedders(l, lane)                      //nolint:contextcheck // it outlives the start
		if err := s.follow(l.pages(), lane); err != nil { //nolint:contextcheck // it outlives the start
			return nil, fmt.Errorf("embed: %w", err)
		}
		out = append(out, lane)
	}
	return out, nil
}

// discoverEmbedders has the lane follow those who tell its members.
func (s *System) discoverEmbedders(l *embedLane, lane *embed.Embedder) {
	members := alone(l.upstreams, lane.Update)
	for i, u := range l.from {
		if u.Discover.isZero() {
			continue
		}
		discovering(s, "embed/"+u.Name, u.Discover, &found[closable, embed.Upstream]{
			url:   u.URL,
			means: map[string]string{"model": u.Model},
			open: func(url string) (closable, error) {
				at := u
				at.URL = url
				return at.open(context.Background(), nil) // it calls nobody
			},
			place: func(m discovery.Member, p closable) embed.Upstream {
				up := l.upstreams[i]
				up.Name, up.Provider, up.Weight, up.Tier = memberName(u.Name, m), p, shared(u.Weight, m), u.Tier+m.Tier
				return up
			},
			apply: func(list []embed.Upstream) error { return members.set(i, list) },
		})
	}
}

// openShelf opens the cache on disk; nil: none is wanted.
func (s *System) openShelf(c Embed) (*diskcache.Cache, error) {
	if c.CacheFile == "" {
		return nil, nil //nolint:nilnil // see above
	}
	shelf, err := diskcache.Open(diskcache.Config{Path: c.CacheFile, Bytes: int64(c.CacheFileSize), Log: s.log})
	if err != nil {
		return nil, fmt.Errorf("embed.cache_file: %w", err)
	}
	s.opened(shelf.Close)
	return shelf, nil
}

func (s *System) embedUpstream(ctx context.Context, u EmbedUpstream) (embed.Upstream, error) {
	bucket, client, err := s.quota(u.Quota, "embed/"+u.Name) //nolint:contextcheck // the leases outlive the start
	if err != nil {
		return embed.Upstream{}, err
	}
	provider, err := s.embedProvider(ctx, u, client)
	if err != nil {
		return embed.Upstream{}, err
	}
	up := embed.Upstream{Name: u.Name, Provider: provider, Weight: u.Weight, Slots: u.Slots, Tier: u.Tier, Aborts: u.Aborts, Limits: u.limits(), Quota: bucket}
	if u.Kind == kindStatic { // in this process: one call more than processors keeps them busy
		up.Aborts, up.Zeros, up.Slots = true, true, cmp.Or(u.Slots, runtime.GOMAXPROCS(0)+1)
	}
	return up, nil
}

func (l *embedLane) add(u EmbedUpstream, up embed.Upstream) {
	l.upstreams, l.from = append(l.upstreams, up), append(l.from, u)
	l.remote = l.remote || u.Kind != kindStatic
	// The built-in model's dims are in the order of their weight: the first 128 alone
	// find 135 answers where all find 140 (internal/quality, in the first ten).
	l.shortens = l.shortens || u.SendDims || u.Kind == kindStatic
	if u.Metrics != "" {
		l.shown = append(l.shown, gauged{u.Name, u.Metrics, busyEmbedder(up.Provider, u.limits())})
	}
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
	v.check(c.CacheFileSize == 0 || c.CacheFile != "", "embed.cache_file_size", "is of nothing: embed.cache_file is missing")
	v.check(c.CacheFileSize == 0 || c.CacheFileSize >= leastCacheFile, "embed.cache_file_size", "must be at least 1MiB")
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
		v.discoverUpstream(path, u.Discover, u.Kind == kindStatic)
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
