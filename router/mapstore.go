package router

import (
	"context"
	"time"
)

// MapStore is where several routers share one shard map: a few bytes that they replace by compare and
// swap, and a lease for each router that writes. A router trusts it in this alone: of two Saves from the same
// revision one fails, and an entry is listed for at least as long as Renew said.
//
// What the bytes mean is the router's business. Calls end with ctx. An implementation is safe for concurrent
// use; package etcdmap is one. Errors: fault.Unavailable where the store is not reached, fault.Refused where it
// does not let the router in.
type MapStore interface {
	// Load returns what is stored and its revision, an opaque text, as of now or later: no cache.
	// Nothing stored yet is fault.NotFound.
	Load(ctx context.Context) (data []byte, revision string, err error)

	// Save replaces what is stored at revision, with "" where nothing is yet, and returns the new revision. If
	// something else is stored by now it is fault.Conflict, and nothing has changed. After any other error it may
	// have been stored. Data has some 10 kB, and more with many collections, tenants placed by name and spaces.
	Save(ctx context.Context, data []byte, revision string) (next string, err error)

	// Watch calls changed once it watches and then at least once after every Save of anybody, in the calling
	// goroutine, until ctx ends or the watch breaks. The router reads what there is and watches again.
	Watch(ctx context.Context, changed func()) error

	// Renew enters a router in the list of leases, or extends its lease, with an entry that replaces the one
	// before. Counted from before the call it stays listed for at least the time returned, which is the same every time,
	// and not much longer if it is not renewed: who waits for it waits that long.
	Renew(ctx context.Context, name string, entry []byte) (time.Duration, error)

	// Leases lists the entries of all routers whose leases have not ended, by name, as of now.
	Leases(ctx context.Context) (map[string][]byte, error)

	// Release takes a router out of the list. One that is not in it is no error.
	Release(ctx context.Context, name string) error
}
