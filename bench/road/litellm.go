package road

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/lanewise/lanewise/bench/peer"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	llmai "github.com/lanewise/lanewise/llm/openai"
)

// WithLiteLLM is the chain by hand, with LiteLLM's proxy in front of the engines. It runs with LiteLLM's own
// defaults for the choice and two retries.
const WithLiteLLM Way = "chain with LiteLLM"

// proxied is a chain whose engines stand behind one proxy.
type proxied struct {
	chain
	proxy *peer.Process
}

func newProxied(ctx context.Context, s *town, p *parts) (_ *proxied, err error) {
	out := &proxied{chain: chain{town: s, parts: p}}
	defer func() {
		if err != nil {
			_ = out.Close()
		}
	}()
	address, err := peer.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	var engines []string
	for _, url := range s.urls("llm") {
		engines = append(engines, strings.TrimPrefix(url, "http://"))
	}
	command, err := peer.LiteLLM(s.dir, address, engines, retries)
	if err != nil {
		return nil, err
	}
	out.proxy, err = peer.Start(ctx, command, func(ctx context.Context) error { return answers(ctx, "http://"+address+"/health/liveliness") })
	if err != nil {
		return nil, fmt.Errorf("litellm: %w", err)
	}
	engine, err := llmai.New(llmai.Config{URL: "http://" + address, Model: "m", Key: "sk-none"})
	if err != nil {
		return nil, err
	}
	for _, e := range p.engines {
		_ = e.(io.Closer).Close() //nolint:errcheck,forcetypeassert // made by clients
	}
	p.engines = []llm.Provider{engine}
	return out, nil
}

// answers asks a URL once.
func answers(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fault.New(fault.Unavailable, "%s answers %s", url, resp.Status)
	}
	return nil
}

// Close ends the proxy.
func (p *proxied) Close() error {
	if p.proxy != nil {
		p.proxy.Stop()
	}
	return p.chain.Close()
}
