package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
)

// keysOptions are the flags of lanewise keys.
type keysOptions struct {
	file   string
	scopes []string
	tenant string
	limits access.Limits
	server target // to ask what the keys have used
}

func newKeys(a *app) *cobra.Command {
	var o keysOptions
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Add, list and revoke the keys of a server's clients",
		Long: `Keys are kept in a file that the configuration names as keys_file. A server that
runs reads it again within a second. Of the secrets it holds the SHA-256 digests only.`,
		Example: "  lanewise keys add website --file keys.json --scope search,answer --tenant acme\n  lanewise keys revoke website --file keys.json",
		Args:    known,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	add := &cobra.Command{
		Use: "add NAME", Short: "Add a key and print its secret, once", Args: exactly(1, "the name of one key"),
		Example: "  lanewise keys add website --file keys.json --scope search,answer --tenant acme",
		RunE:    func(_ *cobra.Command, args []string) error { return o.add(a, args[0]) },
	}
	add.Flags().StringSliceVar(&o.scopes, "scope", nil, "what it may do: "+strings.Join(access.All.Names(), ", "))
	o.limitFlags(add.Flags())
	add.Flags().StringVar(&o.tenant, "tenant", "", "the only tenant whose points it reaches (default: all of them)")
	list := &cobra.Command{
		Use: "list", Short: "List the keys, without their secrets", Args: nothing,
		Long:    "List shows the keys of a file, and with --url what they have used of what they may, as\na server on this machine tells.",
		Example: "  lanewise keys list --file keys.json\n  lanewise keys list --file keys.json --url http://127.0.0.1:8080",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.list(cmd.Context(), a) },
	}
	o.server.serverFlags(list.Flags(), a)
	revoke := &cobra.Command{
		Use: "revoke NAME", Short: "Take a key away", Args: exactly(1, "the name of one key"), Example: "  lanewise keys revoke website --file keys.json",
		RunE: func(_ *cobra.Command, args []string) error { return o.revoke(a, args[0]) },
	}
	for _, sub := range []*cobra.Command{add, list, revoke} {
		sub.Flags().StringVar(&o.file, "file", "", "file of the keys")
		sub.PreRunE = func(*cobra.Command, []string) error {
			if o.file == "" {
				return misuse("give --file FILE, the file that the configuration names as keys_file")
			}
			return nil
		}
		cmd.AddCommand(sub)
	}
	return cmd
}

func (o *keysOptions) add(a *app, name string) error {
	scopes, err := access.ParseScopes(o.scopes)
	if err != nil {
		return usageError{fmt.Errorf("--scope: %w", err)}
	}
	secret := access.NewSecret()
	key := access.Key{
		Name: name, Digest: access.DigestOf(secret), Scopes: scopes, Tenant: o.tenant, Limits: o.limits, Created: time.Now().UTC().Truncate(time.Second),
	}
	if err := key.Check(); err != nil {
		return usageError{err}
	}
	err = access.UpdateFile(o.file, func(keys []access.Key) ([]access.Key, error) {
		if slices.ContainsFunc(keys, func(k access.Key) bool { return k.Name == name }) {
			return nil, fmt.Errorf("key %q is there already: revoke it first, or choose another name", name)
		}
		return append(keys, key), nil
	})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(a.err, "this is the only time that the secret is shown:")
	_, err = fmt.Fprintln(a.out, secret)
	return err
}

// limitFlags are what a new key may use.
func (o *keysOptions) limitFlags(f *pflag.FlagSet) {
	f.IntVar(&o.limits.RequestsPerMinute, "requests-per-minute", 0, "requests that it may make (default: no limit)")
	f.IntVar(&o.limits.TokensPerMinute, "tokens-per-minute", 0, "tokens of models that it may use (default: no limit)")
	f.IntVar(&o.limits.TokensPerDay, "tokens-per-day", 0, "the same by the day of UTC (default: no limit)")
	f.IntVar(&o.limits.TokensPerMonth, "tokens-per-month", 0, "the same by the month of UTC (default: no limit)")
	f.Float64Var(&o.limits.CostPerDay, "cost-per-day", 0, "money that it may cost, by the prices of the models (default: no limit)")
	f.Float64Var(&o.limits.CostPerMonth, "cost-per-month", 0, "the same by the month (default: no limit)")
}

func (o *keysOptions) list(ctx context.Context, a *app) error {
	keys, err := access.ReadFile(o.file)
	if err != nil {
		return err
	}
	used, err := o.used(ctx, a)
	if err != nil {
		return err
	}
	p := a.printer()
	for _, k := range keys {
		tenant := "all tenants"
		if k.Tenant != "" {
			tenant = "tenant " + k.Tenant
		}
		p.Line("%s  %s  %s  %s", k.Name, strings.Join(k.Scopes.Names(), ","), tenant, k.Created.Format(time.RFC3339))
		for _, line := range allowances(k.Limits, used[k.Name]) {
			p.Line("    %s", line)
		}
	}
	return nil
}

// used asks the server what the keys have used; without a server it is not known.
func (o *keysOptions) used(ctx context.Context, a *app) (map[string]*client.Standing, error) {
	if o.server.url == "" {
		return nil, nil //nolint:nilnil // documented
	}
	out := map[string]*client.Standing{}
	return out, o.server.with(ctx, a, func(c *client.Client) error {
		all, err := c.Usage(ctx)
		for i, s := range all.Keys {
			out[s.Name] = &all.Keys[i]
		}
		return err
	})
}

// allowances are the limits of a key, with what was used of its budgets where that is known.
func allowances(l access.Limits, used *client.Standing) (lines []string) {
	add := func(limit float64, unit string, of func(*client.Standing) float64) {
		switch {
		case limit == 0:
		case used == nil || of == nil:
			lines = append(lines, fmt.Sprintf("%g %s", limit, unit))
		default:
			lines = append(lines, fmt.Sprintf("%g of %g %s (%.0f %%)", of(used), limit, unit, 100*of(used)/limit))
		}
	}
	add(float64(l.RequestsPerMinute), "requests a minute", nil)
	add(float64(l.TokensPerMinute), "tokens a minute", nil)
	add(float64(l.TokensPerDay), "tokens today", func(s *client.Standing) float64 { return float64(s.Day.Tokens) })
	add(float64(l.TokensPerMonth), "tokens in this month", func(s *client.Standing) float64 { return float64(s.Month.Tokens) })
	add(l.CostPerDay, "of cost today", func(s *client.Standing) float64 { return s.Day.Cost })
	add(l.CostPerMonth, "of cost in this month", func(s *client.Standing) float64 { return s.Month.Cost })
	return lines
}

func (o *keysOptions) revoke(a *app, name string) error {
	err := access.UpdateFile(o.file, func(keys []access.Key) ([]access.Key, error) {
		rest := slices.DeleteFunc(slices.Clone(keys), func(k access.Key) bool { return k.Name == name })
		if len(rest) == len(keys) {
			return nil, fmt.Errorf("there is no key %q in %s", name, o.file)
		}
		return rest, nil
	})
	if err != nil {
		return err
	}
	a.printer().Line("revoked %s: servers that run take it no more within a second", name)
	return nil
}
