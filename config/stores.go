package config

// bareStore is the name of the only store of a bare replica.
const bareStore = "store"

// LocalStore is an embedded store that a configuration keeps on this machine.
type LocalStore struct {
	Name string // "shard/replica", or "store" for a bare replica
	Path string // of its folder
}

// LocalStores lists the embedded stores of a configuration, in its order.
func (c *Config) LocalStores() []LocalStore {
	r := c.Resolved()
	if r.Store != "" {
		return []LocalStore{{Name: bareStore, Path: r.Store}}
	}
	var out []LocalStore
	for _, shard := range r.Shards {
		for _, replica := range shard.all() {
			if replica.Path != "" {
				out = append(out, LocalStore{Name: shard.Name + "/" + replica.Name, Path: replica.Path})
			}
		}
	}
	return out
}
