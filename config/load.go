package config

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/httpapi"
)

// Load reads a file and checks everything in it. The error joins a [Problem] for
// each thing that is wrong. Relative paths in the result start where the file
// stands.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the file that the caller names
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "read configuration", err)
	}
	return parse(path, data, os.LookupEnv)
}

// Local returns the configuration of a server that needs nothing else: one
// shard with one local store below dir, the built-in model, answers by quoting.
func Local(dir string) *Config {
	return &Config{
		Map:    filepath.Join(dir, "map"),
		Shards: []Shard{{Name: "s0", Replicas: []Replica{{Name: "r0", Path: filepath.Join(dir, "s0")}}}},
	}
}

// parse reads a file's content, with its environment as a function.
func parse(file string, data []byte, env func(string) (string, bool)) (*Config, error) {
	c := &Config{file: file, places: map[string]place{}}
	d := decoder{problems: problems{file: file, places: c.places}, env: env, anchors: map[string]ast.Node{}}
	d.decode(data, c)
	c.rebase(filepath.Dir(file))
	if len(c.places) > 0 { // else nothing could be read at all
		d.addUnrelated(c.problems())
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// rebase makes relative paths start at dir.
func (c *Config) rebase(dir string) {
	for _, path := range c.paths() {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
}

// paths points to all paths of files and folders.
func (c *Config) paths() []*string {
	out := []*string{&c.Store, &c.SharedMap.Import, &c.SharedMap.CA, &c.SharedMap.Cert, &c.SharedMap.CertKey, &c.Embed.CacheFile, &c.KeysFile, &c.JWT.File, &c.UsageFile, &c.TLS.Cert, &c.TLS.Key, &c.TLS.ClientCA}
	if !c.mapIsShared() {
		out = append(out, &c.Map)
	}
	out = append(out, c.Cluster.paths()...)
	for i := range c.Shards {
		for j := range c.Shards[i].Replicas {
			out = append(out, c.Shards[i].Replicas[j].paths()...)
		}
		for j := range c.Shards[i].Lexical {
			out = append(out, c.Shards[i].Lexical[j].paths()...)
		}
	}
	for i := range c.Embed.Upstreams {
		out = append(out, &c.Embed.Upstreams[i].Discover.File)
	}
	for i := range c.Rerank.Upstreams {
		out = append(out, &c.Rerank.Upstreams[i].Discover.File)
	}
	for i := range c.LLM.Upstreams {
		out = append(out, &c.LLM.Upstreams[i].Discover.File)
	}
	return out
}

func (r *Replica) paths() []*string {
	return []*string{&r.Path, &r.CA, &r.ClientCert, &r.ClientKey, &r.Discover.File}
}

// Resolved returns a copy in which the defaults are filled in.
func (c *Config) Resolved() *Config {
	r := *c
	r.Listen = cmp.Or(r.Listen, DefaultListen)
	r.Timeouts.Shutdown = cmp.Or(r.Timeouts.Shutdown, 10*time.Second)
	r.Limits.Body = cmp.Or(r.Limits.Body, 32<<20)
	r.Limits.BodyRate = cmp.Or(r.Limits.BodyRate, httpapi.DefaultBodyRate)
	r.Limits.Headers = cmp.Or(r.Limits.Headers, 64<<10)
	r.Limits.Connections = cmp.Or(r.Limits.Connections, 16384)
	r.Limits.Streams = cmp.Or(r.Limits.Streams, httpapi.DefaultStreams)
	r.Timeouts.Header = cmp.Or(r.Timeouts.Header, 10*time.Second)
	r.Timeouts.Body = cmp.Or(r.Timeouts.Body, httpapi.DefaultBodyTime)
	r.Timeouts.Idle = cmp.Or(r.Timeouts.Idle, 2*time.Minute)
	r.Timeouts.Stall = cmp.Or(r.Timeouts.Stall, httpapi.DefaultStall)
	r.Log.Level = cmp.Or(r.Log.Level, "info")
	r.Log.Format = cmp.Or(r.Log.Format, "text")
	if r.UsageFile == "" && r.MapFile() != "" && r.budgeted() {
		r.UsageFile = filepath.Join(filepath.Dir(r.Map), "usage.db")
	}
	if r.Store == "" {
		r.resolveRouter()
	}
	return &r
}

// resolveRouter fills in what a bare replica has no use for.
func (c *Config) resolveRouter() {
	c.Timeouts.Search = cmp.Or(c.Timeouts.Search, 2*time.Second)
	c.Timeouts.Answer = cmp.Or(c.Timeouts.Answer, time.Minute)
	c.Timeouts.Write = cmp.Or(c.Timeouts.Write, 10*time.Second)
	c.Timeouts.FirstContent = cmp.Or(c.Timeouts.FirstContent, 2*time.Minute)
	c.Timeouts.Silence = cmp.Or(c.Timeouts.Silence, time.Minute)
	c.Limits.Searches = cmp.Or(c.Limits.Searches, 1024)
	c.Limits.ExtraAttempts = cmp.Or(c.Limits.ExtraAttempts, 8)
	c.Quotas.Routers = cmp.Or(c.Quotas.Routers, 1)
	if !c.Hedge.Off {
		c.Hedge.Delay = cmp.Or(c.Hedge.Delay, 30*time.Millisecond)
		c.Hedge.Quantile = cmp.Or(c.Hedge.Quantile, 0.98)
		c.Hedge.Share = cmp.Or(c.Hedge.Share, 0.05)
	}
	c.resolveShards()
	c.Embed.Cache = cmp.Or(c.Embed.Cache, 64<<20)
	if c.Embed.CacheFile != "" {
		c.Embed.CacheFileSize = cmp.Or(c.Embed.CacheFileSize, 1<<30)
	}
	c.Embed.Upstreams = append([]EmbedUpstream(nil), c.Embed.Upstreams...)
	if len(c.Embed.Upstreams) == 0 {
		c.Embed.Upstreams = []EmbedUpstream{{Kind: kindStatic}}
	}
	for i := range c.Embed.Upstreams {
		u := &c.Embed.Upstreams[i]
		u.Name, u.Weight = cmp.Or(u.Name, fmt.Sprintf("%s-%d", u.Kind, i)), cmp.Or(u.Weight, 1)
	}
	if c.LLM.Floor == 0 && c.Embed.Upstreams[0].Kind == kindStatic {
		c.LLM.Floor = staticFloor
	}
	c.Rerank.resolve()
	c.LLM.Upstreams = append([]LLMUpstream(nil), c.LLM.Upstreams...)
	if len(c.LLM.Upstreams) == 0 {
		c.LLM.Upstreams = []LLMUpstream{{Kind: kindExtract}}
	}
	for i := range c.LLM.Upstreams {
		u := &c.LLM.Upstreams[i]
		u.Name, u.Weight = cmp.Or(u.Name, fmt.Sprintf("%s-%d", u.Kind, i)), cmp.Or(u.Weight, 1)
	}
}

func (c *Config) resolveShards() {
	shards := make([]Shard, len(c.Shards))
	for i, s := range c.Shards {
		s.Weight = cmp.Or(s.Weight, 1)
		s.Replicas = append([]Replica(nil), s.Replicas...)
		for j := range s.Replicas {
			r := &s.Replicas[j]
			r.Name, r.Weight = cmp.Or(r.Name, fmt.Sprintf("r%d", j)), cmp.Or(r.Weight, 1)
		}
		s.Lexical = append([]Replica(nil), s.Lexical...)
		for j := range s.Lexical {
			l := &s.Lexical[j]
			l.Name, l.Weight = cmp.Or(l.Name, fmt.Sprintf("l%d", j)), cmp.Or(l.Weight, 1)
		}
		shards[i] = s
	}
	c.Shards = shards
}

// YAML returns the configuration as a file would hold it, secrets masked.
func (c *Config) YAML() (string, error) {
	data, err := yaml.MarshalWithOptions(c, yaml.IndentSequence(true))
	if err != nil {
		return "", fmt.Errorf("encode configuration: %w", err)
	}
	return string(data), nil
}
