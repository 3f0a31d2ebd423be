package router

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// tenure is the right of a router that shares its map to write: a lease that has not ended, and the map as it was
// after the lease began or later. Its times are halved towards safety: the router stops a quarter of the lease
// before the others take it for gone, and gives an attempt to renew it another quarter, so that
// a lease that was late is never taken for one that went on.
type tenure struct {
	mu     sync.Mutex
	until  time.Time // zero: there was no lease yet
	round  uint64    // counts the leases that did not follow one another
	read   bool      // the map was, since the lease began
	epoch  uint64    // of the map that the router is at work with, and no older one; 0: not known yet
	behind string    // why it cannot follow the map
	err    error     // of the last attempt to renew
	slot   uint64    // that sets its versions apart from those of the others
}

// peer is the entry of a router in the list of leases.
type peer struct {
	Epoch  uint64 `json:"epoch"` // with which it is at work; 0: it does not write
	Slot   uint64 `json:"slot"`
	Behind string `json:"behind,omitempty"` // why it cannot follow
}

func (m peer) encode() []byte {
	data, err := json.Marshal(m)
	if err != nil {
		panic(err) // a defect: it holds numbers and a text
	}
	return data
}

// check refuses a write without tenure.
func (n *tenure) check() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	ago := time.Since(n.until)
	if n.read && ago < 0 {
		return nil
	}
	why := "it has not read the shard map again yet, after its lease had ended"
	switch {
	case n.behind != "":
		why = n.behind
	case ago >= 0 && n.err != nil:
		why = fmt.Sprintf("its lease ended %s ago: %s", ago.Round(time.Millisecond), n.err)
	case ago >= 0:
		why = fmt.Sprintf("its lease ended %s ago", ago.Round(time.Millisecond))
	}
	return &fault.Error{Class: fault.Unavailable, RetryAfter: time.Second, Message: "this router takes no writes for now, others may: " + why}
}

// entry is what to renew the lease with at a moment. A lease that has ended begins anew.
func (n *tenure) entry(now time.Time) (data []byte, anew bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if anew = !now.Before(n.until); anew {
		n.epoch, n.read = 0, false
		n.round++
	}
	return peer{Epoch: n.epoch, Slot: n.slot, Behind: n.behind}.encode(), anew
}

// renewed notes the end of an attempt that began at a moment, and reports whether it ended unlike the one before.
func (n *tenure) renewed(began time.Time, ttl time.Duration, err error) (news bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	news = (n.err == nil) != (err == nil)
	if n.err = err; err == nil {
		n.until = began.Add(ttl - ttl/4)
	}
	return news
}

// now is the number of the present lease, and whether the router has still to join with it.
func (n *tenure) now() (round uint64, joins bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.round, !n.read
}

// learn notes that the map was put in force as it was read in some round, or why it could not be, and reports
// whether that is news.
func (n *tenure) learn(round uint64, err error) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if round != n.round {
		return false
	}
	was := n.behind
	if n.read, n.behind = err == nil, ""; err != nil {
		n.behind, n.epoch = err.Error(), 0
	}
	return n.behind != was
}

// follow notes that nothing is under way any more with a map older than that of an epoch, and reports whether
// that is news.
func (n *tenure) follow(epoch uint64) (news bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	news = n.epoch != epoch
	n.epoch = epoch
	return news
}
