package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/access"
)

// keysOptions are the flags of lanewise keys.
type keysOptions struct {
	file   string
	scopes []string
	tenant string
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
		Use: "add NAME", Short: "Add a key and print its secret, once", Args: oneName,
		Example: "  lanewise keys add website --file keys.json --scope search,answer --tenant acme",
		RunE:    func(_ *cobra.Command, args []string) error { return o.add(a, args[0]) },
	}
	add.Flags().StringSliceVar(&o.scopes, "scope", nil, "what it may do: "+strings.Join(access.All.Names(), ", "))
	add.Flags().StringVar(&o.tenant, "tenant", "", "the only tenant whose points it reaches (default: all of them)")
	list := &cobra.Command{
		Use: "list", Short: "List the keys, without their secrets", Args: nothing, Example: "  lanewise keys list --file keys.json",
		RunE: func(*cobra.Command, []string) error { return o.list(a) },
	}
	revoke := &cobra.Command{
		Use: "revoke NAME", Short: "Take a key away", Args: oneName, Example: "  lanewise keys revoke website --file keys.json",
		RunE: func(_ *cobra.Command, args []string) error { return o.revoke(a, args[0]) },
	}
	for _, sub := range []*cobra.Command{add, list, revoke} {
		sub.Flags().StringVar(&o.file, "file", "", "file of the keys")
		if err := sub.MarkFlagRequired("file"); err != nil {
			panic(err) // the flag is defined above
		}
		cmd.AddCommand(sub)
	}
	return cmd
}

// oneName wants the name of a key.
func oneName(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return errors.New("give the name of one key")
	}
	return nil
}

// read returns the keys of the file; one that is not there has none.
func (o *keysOptions) read() ([]access.Key, error) {
	keys, err := access.ReadFile(o.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return keys, err
}

func (o *keysOptions) add(a *app, name string) error {
	scopes, err := access.ParseScopes(o.scopes)
	if err != nil {
		return usageError{fmt.Errorf("--scope: %w", err)}
	}
	keys, err := o.read()
	if err != nil {
		return err
	}
	secret := access.NewSecret()
	key := access.Key{
		Name: name, Digest: access.DigestOf(secret), Scopes: scopes, Tenant: o.tenant, Created: time.Now().UTC().Truncate(time.Second),
	}
	if err := key.Check(); err != nil {
		return usageError{err}
	}
	if slices.ContainsFunc(keys, func(k access.Key) bool { return k.Name == name }) {
		return fmt.Errorf("key %q is there already: revoke it first, or choose another name", name)
	}
	if err := access.WriteFile(o.file, append(keys, key)); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(a.err, "this is the only time that the secret is shown:")
	_, err = fmt.Fprintln(a.out, secret)
	return err
}

func (o *keysOptions) list(a *app) error {
	keys, err := access.ReadFile(o.file)
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
	}
	return nil
}

func (o *keysOptions) revoke(a *app, name string) error {
	keys, err := access.ReadFile(o.file)
	if err != nil {
		return err
	}
	rest := slices.DeleteFunc(slices.Clone(keys), func(k access.Key) bool { return k.Name == name })
	if len(rest) == len(keys) {
		return fmt.Errorf("there is no key %q in %s", name, o.file)
	}
	if err := access.WriteFile(o.file, rest); err != nil {
		return err
	}
	a.printer().Line("revoked %s: servers that run take it no more within a second", name)
	return nil
}
