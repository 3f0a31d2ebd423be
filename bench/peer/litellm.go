package peer

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// alone keeps LiteLLM from asking anybody for anything: a list of prices, before it does something else, and who uses it.
func alone() []string {
	return append(os.Environ(), "LITELLM_LOCAL_MODEL_COST_MAP=True", "LITELLM_TELEMETRY=False")
}

// LiteLLM returns the command of LiteLLM's proxy, which listens on an address and spreads the calls of a model "m" over engines
// (host:port). Retries are its num_retries; 0: its own default. Its configuration is written into dir. fault.NotFound: it is not
// installed.
func LiteLLM(dir, address string, engines []string, retries int) (*exec.Cmd, error) {
	path, err := Find("litellm")
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "litellm.yaml") // YAML reads JSON
	if err := os.WriteFile(config, litellm(engines, retries), 0o600); err != nil {
		return nil, err
	}
	c := exec.Command(path, "--config", config, "--host", host, "--port", port) //nolint:gosec,noctx // the user has installed it; it is stopped
	// It is for this run alone.
	c.Env = append(alone(), "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY=true", "NO_DOCS=True")
	return c, nil
}

// litellm is the proxy's configuration.
func litellm(engines []string, retries int) []byte {
	type object = map[string]any
	var models []object
	for _, engine := range engines {
		models = append(models, object{"model_name": "m", "litellm_params": object{"model": "openai/m", "api_base": "http://" + engine + "/v1", "api_key": "none"}})
	}
	config := object{"model_list": models}
	if retries > 0 {
		config["router_settings"] = object{"num_retries": retries}
	}
	data, err := json.Marshal(config)
	if err != nil {
		panic(err) // plain strings
	}
	return data
}
