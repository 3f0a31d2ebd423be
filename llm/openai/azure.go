package openai

import (
	"cmp"
	"net/url"
	"strings"

	"github.com/lanewise/lanewise/fault"
)

// azureVersion is the version of Azure's API that deployments are called in: its
// last one that is stable, with usage in streams.
const azureVersion = "2024-10-21"

// azure turns the configuration of a deployment into that of a plain server:
// Azure's calls differ by their address and by the header with the key.
func (c Config) azure() (Config, error) {
	if c.Deployment == "" {
		if c.APIVersion != "" {
			return c, fault.BadField("/api_version", "has no meaning without a deployment")
		}
		return c, nil
	}
	base, err := url.Parse(c.URL)
	if err != nil {
		return c, fault.BadField("/url", "not a URL") // the parser's text would quote it
	}
	if strings.Contains(base.Path, "/deployments/") {
		return c, fault.BadField("/url", "names a deployment already: leave only the resource's address, or deployment out")
	}
	base.Path = strings.TrimSuffix(strings.TrimRight(base.Path, "/"), "/openai") + "/openai/deployments/" + c.Deployment
	query := base.Query()
	query.Set("api-version", cmp.Or(c.APIVersion, query.Get("api-version"), azureVersion))
	base.RawPath, base.RawQuery = "", query.Encode()
	c.URL = base.String()
	c.KeyHeader = cmp.Or(c.KeyHeader, "api-key")
	c.Model = cmp.Or(c.Model, c.Deployment) // Azure goes by the address alone
	return c, nil
}
