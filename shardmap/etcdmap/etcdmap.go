// Package etcdmap keeps the shard map of several routers in etcd, version 3.4 or
// later. It is a router.MapStore.
//
// Below its prefix it has the key "map", replaced in transactions that compare its
// revision, and for each router the key "routers/NAME", bound to a lease of etcd.
package etcdmap

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"

	"github.com/lanewise/lanewise/fault"
)

// Config says where etcd is.
type Config struct {
	Endpoints []string    // HOST:PORT of the members of the cluster
	Prefix    string      // of the keys; "": lanewise. Systems that share a cluster need different ones
	User      string      // "": nobody
	Password  string      // of User
	TLS       *tls.Config // nil: connections are not encrypted

	// TTL is for how long a router counts as alive after its last sign of life, in whole seconds. 0: 10 s.
	TTL time.Duration
}

// Store is a shard map in etcd. It must be closed.
type Store struct {
	client *clientv3.Client
	prefix string
	ttl    time.Duration

	mu     sync.Mutex
	leases map[string]lease // of the routers in this process, by name
}

// lease is one that etcd has granted.
type lease struct {
	id    clientv3.LeaseID
	entry string
}

const (
	dialTimeout = 5 * time.Second
	minTTL      = 2 * time.Second
)

// Open returns a Store. Only where a user is given does it ask the cluster something: an
// unknown one, or a wrong password, is fault.Refused.
func Open(c Config) (*Store, error) {
	c.TTL = cmp.Or(c.TTL, 10*time.Second)
	switch {
	case len(c.Endpoints) == 0:
		return nil, fault.New(fault.Invalid, "endpoints: give the HOST:PORT of at least one member of the cluster")
	case c.TTL < minTTL || c.TTL%time.Second != 0:
		return nil, fault.New(fault.Invalid, "ttl: %s is not a whole number of seconds from %s on", c.TTL, minTTL)
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: c.Endpoints, Username: c.User, Password: c.Password, TLS: c.TLS,
		DialTimeout: dialTimeout, DialKeepAliveTime: c.TTL, DialKeepAliveTimeout: dialTimeout, Logger: zap.NewNop(),
	})
	if err != nil {
		return nil, classed("connect to", err)
	}
	return &Store{client: client, prefix: strings.Trim(cmp.Or(c.Prefix, "lanewise"), "/") + "/", ttl: c.TTL, leases: map[string]lease{}}, nil
}

// Close gives up the connections. Leases that were not released end by themselves.
func (s *Store) Close() error { return s.client.Close() }

func (s *Store) mapKey() string { return s.prefix + "map" }

func (s *Store) routers() string { return s.prefix + "routers/" }

// Load implements router.MapStore.
func (s *Store) Load(ctx context.Context) (data []byte, revision string, err error) {
	got, err := s.client.Get(ctx, s.mapKey())
	switch {
	case err != nil:
		return nil, "", classed("read the shard map from", err)
	case len(got.Kvs) == 0:
		return nil, "", fault.New(fault.NotFound, "etcd holds no shard map at %s", s.mapKey())
	}
	return got.Kvs[0].Value, strconv.FormatInt(got.Kvs[0].ModRevision, 10), nil
}

// Save implements router.MapStore.
func (s *Store) Save(ctx context.Context, data []byte, revision string) (next string, err error) {
	at, err := strconv.ParseInt(cmp.Or(revision, "0"), 10, 64)
	if err != nil {
		return "", fault.New(fault.Invalid, "%q is no revision of etcd", revision)
	}
	done, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(s.mapKey()), "=", at)).
		Then(clientv3.OpPut(s.mapKey(), string(data))).Commit()
	switch {
	case err != nil:
		return "", classed("save the shard map in", err)
	case !done.Succeeded:
		return "", fault.New(fault.Conflict, "the shard map in etcd was changed by somebody else")
	}
	return strconv.FormatInt(done.Header.Revision, 10), nil
}

// Watch implements router.MapStore. It starts with what comes, so a compaction of etcd's history can end it but
// not make it miss anything: who watches again reads first.
func (s *Store) Watch(ctx context.Context, changed func()) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for r := range s.client.Watch(ctx, s.mapKey(), clientv3.WithCreatedNotify()) {
		if err := r.Err(); err != nil {
			return classed("watch the shard map in", err)
		}
		changed()
	}
	return context.Cause(ctx)
}

// Renew implements router.MapStore.
func (s *Store) Renew(ctx context.Context, name string, entry []byte) (time.Duration, error) {
	s.mu.Lock()
	held, ok := s.leases[name]
	s.mu.Unlock()
	if ok {
		_, err := s.client.KeepAliveOnce(ctx, held.id)
		switch {
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			ok = false
		case err != nil:
			return 0, classed("renew the lease in", err)
		case held.entry == string(entry):
			return s.ttl, nil
		}
	}
	if !ok {
		granted, err := s.client.Grant(ctx, int64(s.ttl/time.Second))
		if err != nil {
			return 0, classed("take a lease in", err)
		}
		held.id = granted.ID
	}
	return s.ttl, s.enter(ctx, name, lease{id: held.id, entry: string(entry)})
}

// enter writes a router's entry, bound to its lease.
func (s *Store) enter(ctx context.Context, name string, l lease) error {
	_, err := s.client.Put(ctx, s.routers()+name, l.entry, clientv3.WithLease(l.id))
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		delete(s.leases, name)
		return classed("enter the router in", err)
	}
	s.leases[name] = l
	return nil
}

// Leases implements router.MapStore.
func (s *Store) Leases(ctx context.Context) (map[string][]byte, error) {
	got, err := s.client.Get(ctx, s.routers(), clientv3.WithPrefix())
	if err != nil {
		return nil, classed("list the routers in", err)
	}
	all := make(map[string][]byte, len(got.Kvs))
	for _, kv := range got.Kvs {
		all[strings.TrimPrefix(string(kv.Key), s.routers())] = kv.Value
	}
	return all, nil
}

// Release implements router.MapStore.
func (s *Store) Release(ctx context.Context, name string) error {
	s.mu.Lock()
	held, ok := s.leases[name]
	delete(s.leases, name)
	s.mu.Unlock()
	if !ok {
		return nil
	}
	if _, err := s.client.Revoke(ctx, held.id); err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return classed("give the lease back to", err)
	}
	return nil
}

// classed gives an error of etcd its class. That of a context that was cancelled stays what it is.
func classed(doing string, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s etcd: %w", doing, err)
	}
	class, told := fault.Unavailable, rpctypes.EtcdError{}
	if errors.As(err, &told) {
		switch told.Code() { //nolint:exhaustive // what is not listed may pass
		case codes.Unauthenticated, codes.PermissionDenied, codes.InvalidArgument, codes.FailedPrecondition:
			class = fault.Refused
		}
	}
	return fault.Wrap(class, doing+" etcd", err)
}
