package config

import (
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/access/jwt"
	"github.com/lanewise/lanewise/httpapi"
)

// ClientKey is a key that clients may show. In a file a plain text stands for a key that may do everything.
type ClientKey struct {
	Key    Secret        `yaml:"key,omitempty"`    // in plain text, or …
	SHA256 string        `yaml:"sha256,omitempty"` // … its digest, in hexadecimal digits
	Name   string        `yaml:"name,omitempty"`   // shown in logs. Default: keys/0 and so on, by position
	Scopes []string      `yaml:"scopes,omitempty"` // search, answer, embed, write, replica, admin. Default: all of them
	Limits access.Limits `yaml:"limits,omitempty"` // of what its callers may use. Default: none
	Tenant string        `yaml:"tenant,omitempty"` // the only one whose points it reaches. Default: all of them
}

// serverTLS is what the server shows of itself, and wants to see of its clients. The files are read
// again when they change.
type serverTLS struct {
	Cert     string `yaml:"cert,omitempty"`      // file of the certificate and those above it, in PEM
	Key      string `yaml:"key,omitempty"`       // file of its private key, in PEM
	ClientCA string `yaml:"client_ca,omitempty"` // file of the certificates by which clients must be vouched for. Default: clients need none
}

// tokens says which JSON Web Tokens are believed, and what their claims mean.
type tokens struct {
	File        string        `yaml:"file,omitempty"`         // JWK set with the issuer's public keys; read again when it changes
	Issuer      string        `yaml:"issuer,omitempty"`       // that tokens must name
	Audience    string        `yaml:"audience,omitempty"`     // that tokens must name
	Algorithms  []string      `yaml:"algorithms,omitempty"`   // asymmetric ones. Default RS256, ES256, EdDSA
	Leeway      time.Duration `yaml:"leeway,omitempty"`       // by which the clocks may differ. Default 30s
	ScopeClaim  string        `yaml:"scope_claim,omitempty"`  // Default scope
	ScopePrefix string        `yaml:"scope_prefix,omitempty"` // of the scopes' names there. Default: none
	TenantClaim string        `yaml:"tenant_claim,omitempty"` // Default tenant
	Limits      access.Limits `yaml:"limits,omitempty"`       // of what each subject may use. Default: none
	AllTenants  bool          `yaml:"all_tenants,omitempty"`  // tokens without that claim reach all tenants. Default: they reach nothing
}

// guarded reports whether callers have to show something: a key or a certificate.
func (c *Config) guarded() bool { return c.keyed() || c.TLS.ClientCA != "" }

func (c *Config) keyed() bool { return len(c.Keys) > 0 || c.KeysFile != "" || c.JWT.File != "" }

// AdminKey is a key, in plain text, that may operate the server, for commands on its machine; empty: the
// file has none.
func (c *Config) AdminKey() string {
	for i, k := range c.Keys {
		if full, err := k.access(i); err == nil && k.Key != "" && full.Scopes&access.Admin != access.None {
			return string(k.Key)
		}
	}
	return ""
}

// access is the key at a position as it is kept.
func (k ClientKey) access(at int) (access.Key, error) {
	out := access.Key{Name: k.Name, Scopes: access.All, Tenant: k.Tenant, Limits: k.Limits}
	if k.Name == "" {
		out.Name = fmt.Sprintf("keys/%d", at)
	}
	var err error
	if k.Scopes != nil {
		if out.Scopes, err = access.ParseScopes(k.Scopes); err != nil {
			return out, err
		}
	} else if k.Tenant != "" {
		out.Scopes &^= access.Replica | access.Admin
	}
	if out.Digest = access.DigestOf(string(k.Key)); k.SHA256 != "" {
		if err := out.Digest.UnmarshalText([]byte(k.SHA256)); err != nil {
			return out, err
		}
	}
	return out, out.Check()
}

// accessKeys are the keys of the file.
func (c *Config) accessKeys() ([]access.Key, error) {
	out := make([]access.Key, len(c.Keys))
	for i, k := range c.Keys {
		var err error
		if out[i], err = k.access(i); err != nil {
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
	}
	return out, nil
}

// access checks who may ask, and from where.
func (v *validator) access(c *Config) {
	names := map[string]string{}
	for i, k := range c.Keys {
		path := fmt.Sprintf("keys[%d]", i)
		v.unique(names, k.Name, path+".name")
		v.check(k.Key == "" || k.SHA256 == "", path+".sha256", "cannot stand beside key: give the key or its digest")
		if k.Key == "" && k.SHA256 == "" {
			v.at(path, "is empty: everybody would have it")
		} else if _, err := k.access(i); err != nil {
			v.at(path, "%v", err)
		}
	}
	v.tokens(c.JWT)
	v.check((c.TLS.Cert == "") == (c.TLS.Key == ""), "tls", "needs both cert and key")
	v.check(c.TLS.ClientCA == "" || c.TLS.Cert != "", "tls.client_ca", "has no meaning without cert and key")
	if !c.Open && !c.guarded() && !onLoopback(c.Listen) {
		v.at("listen", "%q is reached from other machines, and there are no keys: set keys, keys_file, jwt or tls.client_ca; open: true lets everybody in", c.Listen)
	}
}

// tokens checks which tokens are believed.
func (v *validator) tokens(t tokens) {
	if reflect.ValueOf(t).IsZero() {
		return
	}
	v.check(t.File != "", "jwt.file", "missing: the issuer's public keys, as a JWK set")
	v.check(t.Issuer != "", "jwt.issuer", "missing: anybody's tokens would do")
	v.check(t.Audience != "", "jwt.audience", "missing: tokens for other servers would do")
	v.check(t.Leeway >= 0, "jwt.leeway", "must not be negative")
	v.limits("jwt.limits", t.Limits)
	for i, a := range t.Algorithms {
		v.check(slices.Contains(jwt.Algorithms(), a), fmt.Sprintf("jwt.algorithms[%d]", i), fmt.Sprintf("is none of %s", strings.Join(jwt.Algorithms(), ", ")))
	}
}

// open reads the keys of the tokens.
func (t tokens) open(log *slog.Logger) (*jwt.Verifier, error) {
	v, err := jwt.New(jwt.Config{
		File: t.File, Issuer: t.Issuer, Audience: t.Audience, Algorithms: t.Algorithms, Leeway: t.Leeway,
		ScopeClaim: t.ScopeClaim, ScopePrefix: t.ScopePrefix, TenantClaim: t.TenantClaim, AllTenants: t.AllTenants, Limits: t.Limits, Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("jwt: %w", err)
	}
	return v, nil
}

// onLoopback reports whether an address is one that only this machine reaches.
func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil { // empty, or a problem of its own
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// guard has the server ask who its clients are, as the configuration wants it.
func (s *System) guard(surface *httpapi.Config, c *Config, o Options) (err error) {
	if !c.keyed() || o.Unguarded {
		return nil
	}
	surface.Access, err = c.gate(o.Log)
	return err
}

// gate knows the callers.
func (c *Config) gate(log *slog.Logger) (*access.Gate, error) {
	keys, err := c.accessKeys()
	if err != nil {
		return nil, err
	}
	known := access.Config{Keys: keys, File: c.KeysFile, Log: log}
	if c.JWT.File != "" {
		if known.Tokens, err = c.JWT.open(log); err != nil {
			return nil, err
		}
	}
	gate, err := access.New(known)
	if err != nil {
		return nil, fmt.Errorf("open the keys: %w", err)
	}
	return gate, nil
}
