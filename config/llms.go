package config

import (
	"context"
	"fmt"
	"net/http"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/anthropic"
	"github.com/lanewise/lanewise/llm/extract"
	llmai "github.com/lanewise/lanewise/llm/openai"
)

// Kinds of upstreams that generate, beside those that embed too.
const (
	kindAzure     = "azure"
	kindAnthropic = "anthropic"
)

// generating is an upstream that holds connections.
type generating interface {
	llm.Provider
	Close() error
}

// llmProvider makes the provider of an upstream, which is not called yet.
func (s *System) llmProvider(u LLMUpstream, e embed.Provider, client *http.Client) (llm.Provider, error) {
	if u.Kind == kindExtract {
		return extract.New(extract.Config{Embed: sentences(e, func(context.Context, int) {})}) // the usage of the answer has them
	}
	p, err := u.open(client)
	if err != nil {
		return nil, err
	}
	s.opened(p.Close)
	return p, nil
}

func (u LLMUpstream) open(client *http.Client) (generating, error) {
	if u.Kind == kindAnthropic {
		return anthropic.New(anthropic.Config{
			URL: u.URL, Key: string(u.Key), Model: u.Model, MaxTokens: u.MaxTokens, Cache: u.CachePrompt, Client: client,
		})
	}
	keys := make([]string, len(u.Keys))
	for i, key := range u.Keys {
		keys[i] = string(key)
	}
	return llmai.New(llmai.Config{
		URL: u.URL, Key: string(u.Key), Keys: keys, Continue: llmai.Continuation(u.Continue), Model: u.Model, KeyHeader: u.KeyHeader, LimitField: u.LimitField,
		Deployment: u.Deployment, APIVersion: u.APIVersion, Client: client,
	})
}

// generator checks one upstream that generates.
func (v *validator) generator(path string, u LLMUpstream) {
	if !v.kind(path, u.Kind, kindExtract, kindOpenAI, kindAzure, kindAnthropic) {
		return
	}
	switch u.Kind {
	case kindExtract:
		v.bare(path, map[string]bool{"url": u.URL != "", "key": u.Key != "", "model": u.Model != "", "metrics": u.Metrics != "", "context": u.Context != 0})
	case kindOpenAI:
		v.openAI(path, u.URL, u.Model)
		v.gauge(path, u.Metrics, u.Aborts, u.Quota)
	case kindAzure:
		v.url(path+".url", u.URL)
		v.check(u.Deployment != "", path+".deployment", "missing: which deployment of that resource?")
	case kindAnthropic:
		if u.URL != "" {
			v.url(path+".url", u.URL)
		}
		v.check(u.Model != "", path+".model", "missing: which model of that server?")
		v.check(u.MaxTokens >= 0, path+".max_tokens", "must not be negative")
	}
	v.check(u.Context >= 0, path+".context", "must not be negative")
	v.generatorKeys(path, u)
}

// generatorKeys reports keys that the upstream's kind has no use for.
func (v *validator) generatorKeys(path string, u LLMUpstream) {
	others := map[string]bool{}
	if u.Kind != kindOpenAI && u.Kind != kindAzure {
		others["key_header"], others["limit_field"], others["keys"] = u.KeyHeader != "", u.LimitField != "", len(u.Keys) > 0
	}
	others["continue"] = u.Kind != kindOpenAI && u.Continue != ""
	if u.Kind != kindAzure {
		others["deployment"], others["api_version"] = u.Deployment != "", u.APIVersion != ""
	}
	if u.Kind != kindAnthropic {
		others["max_tokens"], others["cache_prompt"] = u.MaxTokens != 0, u.CachePrompt
	}
	if u.Kind == kindAzure || u.Kind == kindAnthropic {
		others["metrics"] = u.Metrics != "" // what is billed is not probed
	}
	v.bare(path, others)
	v.check(u.Continue == "" || u.Continue == string(llmai.Flags) || u.Continue == string(llmai.Prefill), path+".continue", "is neither flags nor prefill")
	limit := u.LimitField
	v.check(limit == "" || limit == "max_tokens" || limit == "max_completion_tokens", path+".limit_field",
		fmt.Sprintf("must be max_tokens or max_completion_tokens, is %q", limit))
}
