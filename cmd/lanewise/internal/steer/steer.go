// Package steer finds the router that an operator's command is for: the server of
// a configuration where one is running, which holds the lock of the shard map, or
// else a router that is built in this process for as long as the command takes.
package steer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
	"github.com/lanewise/lanewise/config"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/shardmap"
)

// Options are for a router that is built, and for a server that runs.
type Options struct {
	config.Options
	Key string // shown to a server whose configuration has none in plain text
}

// Reach returns a client of the router that the configurations are about, and what ends it. A running
// server is looked for at the address of each of them. Otherwise a router is built for the shards of
// the stored map, with the stores that the first configuration has for them, or a later one.
func Reach(ctx context.Context, o Options, cfgs ...*config.Config) (*client.Client, func() error, error) {
	for _, cfg := range cfgs {
		r := cfg.Resolved()
		if address, ok := answers(ctx, r.Listen); ok {
			scheme, secure, err := r.LocalTLS()
			if err != nil {
				return nil, nil, err
			}
			c, err := client.New(client.Config{URL: scheme + "://" + address, Key: cmp.Or(r.AdminKey(), o.Key), TLS: secure})
			return c, func() error { return nil }, err
		}
	}
	cfg, err := stored(ctx, cfgs)
	if err != nil {
		return nil, nil, err
	}
	o.Unguarded = true
	sys, err := cfg.Build(ctx, o.Options)
	if err != nil {
		return nil, nil, err
	}
	if sys.Router == nil {
		return nil, nil, errors.Join(fault.New(fault.Invalid, "the configuration describes a bare replica: name that of its router"), sys.Close())
	}
	c, stop, err := client.Inside(sys.Handler, "")
	if err != nil {
		return nil, nil, errors.Join(err, sys.Close())
	}
	return c, func() error { stop(); return sys.Close() }, nil
}

// answers reports whether something listens at an address, seen from this machine.
func answers(ctx context.Context, listen string) (address string, ok bool) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", false
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	address = net.JoinHostPort(host, port)
	dialer := net.Dialer{Timeout: 2 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", false
	}
	_ = conn.Close() // it was only to see
	return address, true
}

// stored returns the first configuration with the shards of the stored map, as far as one is stored.
func stored(ctx context.Context, cfgs []*config.Config) (*config.Config, error) {
	cfg := *cfgs[0]
	m, err := cfg.StoredMap(ctx)
	if errors.Is(err, fault.NotFound) {
		return &cfg, nil
	}
	if err != nil {
		return nil, err
	}
	cfg.Shards = nil
	for _, have := range m.Shards() {
		s, ok := find(cfgs, have.Name)
		if !ok {
			return nil, fault.New(fault.Invalid, "shard %s of the stored map is not in the configuration: name the old one, too, with a second -c", have.Name)
		}
		s.Weight = have.Weight
		cfg.Shards = append(cfg.Shards, s)
	}
	return &cfg, nil
}

func find(cfgs []*config.Config, name string) (config.Shard, bool) {
	for _, c := range cfgs {
		if i := slices.IndexFunc(c.Shards, func(s config.Shard) bool { return s.Name == name }); i >= 0 {
			return c.Shards[i], true
		}
	}
	return config.Shard{}, false
}

// Uncounted computes a plan from the stored map alone, or from the placement that old would get
// if none is stored, without asking any store.
func Uncounted(ctx context.Context, old, now *config.Config) (*shardmap.Plan, error) {
	m, err := old.StoredMap(ctx)
	if errors.Is(err, fault.NotFound) {
		m, err = shardmap.New(list(old))
	}
	if err != nil {
		return nil, fmt.Errorf("the map to start from: %w", err)
	}
	return shardmap.NewPlan(m, list(now))
}

func list(c *config.Config) []shardmap.Shard {
	var out []shardmap.Shard
	for _, s := range c.Resolved().Shards {
		shard := shardmap.Shard{Name: s.Name, Weight: s.Weight}
		for _, r := range s.Replicas {
			shard.Replicas = append(shard.Replicas, r.Name)
		}
		out = append(out, shard)
	}
	return out
}
