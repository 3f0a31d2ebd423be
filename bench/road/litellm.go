package road

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	llmai "github.com/lanewise/lanewise/llm/openai"
)

// WithLiteLLM is the chain by hand, with LiteLLM's proxy in front of the engines. It runs with LiteLLM's own
// defaults for the choice and two retries.
const WithLiteLLM Way = "chain with LiteLLM"

// FindLiteLLM returns the program of the proxy, or fault.NotFound.
func FindLiteLLM() (string, error) {
	path, err := exec.LookPath("litellm")
	if err != nil {
		return "", fault.New(fault.NotFound, "litellm is not installed")
	}
	return path, nil
}

// proxied is a chain whose engines stand behind one proxy.
type proxied struct {
	chain
	stop func()
}

// startup is how long the proxy may take to answer: it loads for long.
const startup = 2 * time.Minute

func newProxied(ctx context.Context, s *town, p *parts) (_ *proxied, err error) {
	out := &proxied{chain: chain{town: s, parts: p}, stop: func() {}}
	defer func() {
		if err != nil {
			_ = out.Close()
		}
	}()
	program, err := FindLiteLLM()
	if err != nil {
		return nil, err
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(s.dir, "litellm.yaml") // YAML reads JSON
	if err := os.WriteFile(config, s.litellm(), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "--config", config, "--host", "127.0.0.1", "--port", port) //nolint:gosec,noctx // it ends with stop
	// It listens on loopback, for this run alone, and shall ask nobody else.
	cmd.Env = append(os.Environ(), "LITELLM_TELEMETRY=False", "LITELLM_LOCAL_MODEL_COST_MAP=True", "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY=true", "NO_DOCS=True")
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start litellm: %w", err)
	}
	out.stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	url := "http://127.0.0.1:" + port
	if err := answers(ctx, url+"/health/liveliness"); err != nil {
		return nil, err
	}
	engine, err := llmai.New(llmai.Config{URL: url, Model: "m", Key: "sk-none"})
	if err != nil {
		return nil, err
	}
	for _, e := range p.engines {
		_ = e.(io.Closer).Close() //nolint:errcheck,forcetypeassert // made by clients
	}
	p.engines = []llm.Provider{engine}
	return out, nil
}

// litellm is the proxy's configuration.
func (s *town) litellm() []byte {
	type params struct {
		Model string `json:"model"`
		Base  string `json:"api_base"`
		Key   string `json:"api_key"`
	}
	type deployment struct {
		Name   string `json:"model_name"`
		Params params `json:"litellm_params"`
	}
	var all []deployment
	for _, url := range s.urls("llm") {
		all = append(all, deployment{"m", params{"openai/m", url + "/v1", "none"}})
	}
	data, err := json.Marshal(map[string]any{"model_list": all, "router_settings": map[string]any{"num_retries": retries}})
	if err != nil {
		panic(err) // plain strings
	}
	return data
}

func freePort(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, _ := strings.Cut(l.Addr().String(), ":")
	return port, l.Close()
}

// answers waits until a URL does.
func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, startup)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "%s does not answer", url)
		}
	}
}

// Close ends the proxy.
func (p *proxied) Close() error {
	p.stop()
	return p.chain.Close()
}
