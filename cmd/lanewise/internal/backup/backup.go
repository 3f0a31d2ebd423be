// Package backup copies the embedded stores and the shard map of a
// configuration into a folder, and makes them anew from one.
//
// The folder holds one file a store, named shard/replica.store, and the map as
// "map". Stores of a running server are copied through it, as of one moment
// each; those of one that is not running are opened here.
package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/config"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search/wire"
	"github.com/lanewise/lanewise/shardmap"
)

// mapName is the file of the shard map in a backup's folder.
const mapName = "map"

// Done is called after each file, with the name of what is in it.
type Done func(name string, bytes int64)

// Source is a configuration whose stores are copied.
type Source struct {
	*config.Config
	Key string // shown to its server where it runs and the configuration has none in plain text
}

// Save copies what a configuration keeps on this machine into dir, which must not exist or
// be empty. The map comes last: its epoch is then at least that of every store.
// What could not be finished is removed.
func Save(ctx context.Context, from Source, dir string, done Done) (err error) {
	stores := from.LocalStores()
	if len(stores) == 0 {
		return errors.New("the configuration keeps no store on this machine: back up its replicas where they run")
	}
	if err := fresh(dir); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	for _, s := range stores {
		n, err := write(file(dir, s.Name), func(w io.Writer) error { return save(ctx, from, s, w) })
		if err != nil {
			return fmt.Errorf("back up store %s: %w", s.Name, err)
		}
		done(s.Name, n)
	}
	return saveMap(ctx, from.Resolved(), dir, done)
}

func saveMap(ctx context.Context, cfg *config.Config, dir string, done Done) error {
	if cfg.Map == "" {
		return nil
	}
	m, err := cfg.StoredMap(ctx)
	if err != nil {
		return fmt.Errorf("back up the shard map: %w", err)
	}
	data, err := m.Encode()
	if err != nil {
		return err
	}
	n, err := write(filepath.Join(dir, mapName), func(w io.Writer) error { _, err := w.Write(data); return err })
	if err == nil {
		done("the shard map", n)
	}
	return err
}

// save copies one store by itself or, where a server has it open, through that.
func save(ctx context.Context, from Source, s config.LocalStore, w io.Writer) error {
	if _, err := os.Stat(s.Path); err != nil {
		return err // opening would make an empty store
	}
	store, err := local.Open(local.Config{Path: s.Path})
	if err == nil {
		return errors.Join(store.Backup(ctx, w), store.Close())
	}
	served := fromServer(ctx, from, s.Path, w)
	if errors.Is(served, syscall.ECONNREFUSED) {
		return err
	}
	return served
}

// fromServer asks the server of the configuration for a copy of the store in a folder. By its name, another
// server at that address could give its own.
func fromServer(ctx context.Context, from Source, folder string, w io.Writer) error {
	store, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	r := from.Resolved()
	scheme, secure, err := r.LocalTLS()
	if err != nil {
		return err
	}
	transport := &http.Transport{TLSClientConfig: secure}
	defer transport.CloseIdleConnections()
	at := url.URL{Scheme: scheme, Host: r.Listen, Path: "/v1/admin/backup", RawQuery: url.Values{"store": {store}}.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return err
	}
	if key := cmp.Or(r.AdminKey(), from.Key); key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end, or given up
	if resp.StatusCode != http.StatusOK {
		return refusal(resp)
	}
	_, err = io.Copy(w, resp.Body)
	return err
}

// refusal is what the server said instead of a copy.
func refusal(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	if p, err := wire.Decode[wire.Problem](body); err == nil {
		return fmt.Errorf("the server at %s: %w", resp.Request.URL.Host, p.Err())
	}
	return fmt.Errorf("the server at %s answers %s: is it another program?", resp.Request.URL.Host, resp.Status)
}

// Load makes the stores and the map of cfg from a backup. It checks all of it
// first: nothing may be where the stores and the map are to be.
func Load(cfg *config.Config, dir string, done Done) error {
	stores, path := cfg.LocalStores(), cfg.Resolved().MapFile()
	if path == "" && cfg.Map != "" {
		return fault.New(fault.Invalid, "the shard map is shared: restore with a file for it, and let shared_map.import name that file then")
	}
	for _, s := range stores {
		if _, err := os.Stat(file(dir, s.Name)); err != nil {
			return fmt.Errorf("the backup holds no store %s: %w", s.Name, err)
		}
	}
	if err := checkMap(path, dir); err != nil {
		return err
	}
	for _, s := range stores {
		if err := load(file(dir, s.Name), s, done); err != nil {
			return fmt.Errorf("restore store %s: %w", s.Name, err)
		}
	}
	if path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(dir, mapName)) //nolint:gosec // below the folder that the user names
	if err != nil {
		return err
	}
	n, err := write(path, func(w io.Writer) error { _, err := w.Write(data); return err })
	if err == nil {
		done("the shard map", n)
	}
	return err
}

// checkMap reads the map of a backup, and refuses to replace another.
func checkMap(path, dir string) error {
	if path == "" {
		return nil
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, fault.New(fault.Conflict, "there is a shard map at %s already: restore into another place, or move it away", path))
	}
	_, err := shardmap.Read(filepath.Join(dir, mapName))
	return err
}

func load(from string, s config.LocalStore, done Done) error {
	f, err := os.Open(from) //nolint:gosec // below the folder that the user names
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	if err := local.Restore(s.Path, f); err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		done(s.Name, info.Size())
	}
	return err
}

// fresh makes dir, and refuses one with something in it.
func fresh(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty: name a folder that is not there yet", dir)
	}
	return err
}

func file(dir, store string) string { return filepath.Join(dir, filepath.FromSlash(store)+".store") }

// write fills a new file and syncs it.
func write(path string, fill func(io.Writer) error) (int64, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return 0, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640) //nolint:gosec // not for everybody
	if err != nil {
		return 0, err
	}
	if err := errors.Join(fill(f), f.Sync()); err != nil {
		return 0, errors.Join(err, f.Close())
	}
	info, err := f.Stat()
	if err != nil {
		return 0, errors.Join(err, f.Close())
	}
	return info.Size(), f.Close()
}
