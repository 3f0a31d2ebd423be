package milvus

import (
	"cmp"
	"crypto/tls"
	"net/url"
	"strings"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// Consistency says how fresh an answer is.
type Consistency string

// The levels of consistency. Milvus makes a search wait until the asked state of the
// data has arrived where it is searched.
const (
	Bounded    Consistency = "bounded"    // at most Config.Lag behind; never waits long
	Session    Consistency = "session"    // with all writes of this Store; waits after a write only
	Strong     Consistency = "strong"     // with all writes of everybody; every search waits for about 200 ms
	Eventually Consistency = "eventually" // whatever is there
)

// Index is how vectors are found.
type Index string

// The kinds of index that Create makes.
const (
	Flat Index = "FLAT" // scans all vectors: exact
	HNSW Index = "HNSW" // approximate; Leg.EF is its search breadth, an exact leg is fault.Invalid
)

// Config says where the server is and how it is used. Zero values mean the
// defaults stated.
type Config struct {
	Address     string        // "host:19530"; required
	Database    string        // empty: the server's default
	User        string        // with Password; not together with Key
	Password    string        //
	Key         string        // API key or token, sent instead of user and password
	TLS         *tls.Config   // nil: plain text. RootCAs is where a custom authority goes
	DialTimeout time.Duration // for one attempt to connect, until which calls wait; 0: 5 s
	Consistency Consistency   // of searches and reads; empty: Bounded
	Lag         time.Duration // the server's common.gracefulTime; 0: 5 s, its default
	Index       Index         // of new collections; empty: Flat
	External    []External    // collections that are there already, read as they are
	// WriteTimeout ends a write whose caller has gone. Until then the ids in it are
	// locked; 0: 30 s.
	WriteTimeout time.Duration
}

func (c Config) withDefaults() Config {
	c.DialTimeout = cmp.Or(c.DialTimeout, 5*time.Second)
	c.Consistency = cmp.Or(c.Consistency, Bounded)
	c.Lag = cmp.Or(c.Lag, 5*time.Second)
	c.Index = cmp.Or(c.Index, Flat)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 30*time.Second)
	return c
}

func (c Config) check() error {
	u, err := url.Parse("tcp://" + c.Address)
	switch {
	case err != nil || strings.Contains(c.Address, "/") || u.Hostname() == "" || u.Port() == "": // its text would repeat the address
		return fault.BadField("/address", "must be HOST:PORT")
	case u.User != nil:
		return fault.BadField("/address", "must not hold a user or password: use their own fields")
	case c.Key != "" && (c.User != "" || c.Password != ""):
		return fault.BadField("/key", "stands beside a user or password: use one of the two")
	case c.DialTimeout < 0 || c.Lag < 0 || c.WriteTimeout < 0:
		return fault.New(fault.Invalid, "dial timeout, lag and write timeout must not be negative")
	}
	switch c.Consistency {
	case Bounded, Session, Strong, Eventually:
	default:
		return fault.BadField("/consistency", "%q is none of bounded, session, strong, eventually", c.Consistency)
	}
	switch c.Index {
	case Flat, HNSW:
		return nil
	default:
		return fault.BadField("/index", "%q is neither FLAT nor HNSW", c.Index)
	}
}
