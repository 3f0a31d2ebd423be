package config

import (
	"fmt"
	"slices"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/access/meter"
	"github.com/lanewise/lanewise/access/meter/redisledger"
	"github.com/lanewise/lanewise/httpapi"
)

// tenants says what tenants may use, by whatever key.
type tenants struct {
	Limits access.Limits `yaml:"limits,omitempty"` // of each that has none of its own. Default: none
	Most   int           `yaml:"most,omitempty"`   // keys and tenants that are in memory at one time. Default 100,000
	// Own is what single tenants may use instead.
	Own []struct {
		Tenant string        `yaml:"tenant"`
		Limits access.Limits `yaml:"limits"`
	} `yaml:"own,omitempty"`
}

// allLimits are those of the file.
func (c *Config) allLimits() []access.Limits {
	out := []access.Limits{c.Tenants.Limits, c.JWT.Limits}
	for _, k := range c.Keys {
		out = append(out, k.Limits)
	}
	for _, t := range c.Tenants.Own {
		out = append(out, t.Limits)
	}
	return out
}

func (c *Config) budgeted() bool { return slices.ContainsFunc(c.allLimits(), access.Limits.Budgeted) }

// limited reports whether keys or tenants have limits, or may get some at any time by a file of keys.
func (c *Config) limited() bool {
	return c.KeysFile != "" || slices.ContainsFunc(c.allLimits(), func(l access.Limits) bool { return l != access.Limits{} })
}

// openMeter has the surface hold keys and tenants to what they may use.
func (s *System) openMeter(surface *httpapi.Config, c *Config, o Options) error {
	if o.Unguarded || !c.limited() {
		return nil
	}
	settings := meter.Config{
		Tenants: c.Tenants.Limits, Own: map[string]access.Limits{}, Most: c.Tenants.Most, File: c.UsageFile, Part: 1 / float64(max(c.Quotas.Routers, 1)), Log: o.Log,
	}
	for _, t := range c.Tenants.Own {
		settings.Own[t.Tenant] = t.Limits
	}
	if s.quotas.client != nil {
		settings.Ledger = redisledger.New(s.quotas.client, "")
	}
	err := s.keep("meter", nil, func(p *System) { s.meter = p.meter }, func() (err error) {
		if s.meter, err = meter.New(settings); err == nil {
			s.opened(s.meter.Close)
		}
		return err
	})
	surface.Meter = s.meter
	return err
}

// allowances checks what keys and tenants may use.
func (v *validator) allowances(c *Config) {
	v.limits("tenants.limits", c.Tenants.Limits)
	v.check(c.Tenants.Most >= 0, "tenants.most", "must not be negative")
	names := map[string]string{}
	for i, t := range c.Tenants.Own {
		path := fmt.Sprintf("tenants.own[%d]", i)
		v.unique(names, t.Tenant, path+".tenant")
		v.limits(path+".limits", t.Limits)
	}
	for i, k := range c.Keys {
		v.limits(fmt.Sprintf("keys[%d].limits", i), k.Limits)
	}
	if c.budgeted() && c.MapFile() == "" && c.UsageFile == "" && c.Quotas.Redis == "" {
		v.at("usage_file", "missing: there are budgets, which would begin anew at every start; quota.redis would keep them, too")
	}
}

// limits checks limits one by one.
func (v *validator) limits(path string, l access.Limits) {
	for name, value := range l.All() {
		v.check(value >= 0, path+"."+name, "must not be negative")
		v.notZero(path+"."+name, value == 0, allPass)
	}
}
