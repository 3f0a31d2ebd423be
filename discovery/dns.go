package discovery

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/lanewise/lanewise/fault"
)

// DNS is a source that looks a name up again whenever the records' time to live has passed.
//
// With a Port the members are the name's addresses, A and AAAA. Without one they are the targets of
// its SRV records, with their ports and weights; a larger priority is a later tier. An answer is kept for its
// shortest time to live, at least one second and at most five minutes, and up to a tenth
// longer, at random, so that many routers do not ask at the same moment. After an error it
// is tried again after 1 s, 2 s and so on up to 30 s.
type DNS struct {
	Name string // full: there are no search domains
	Port uint16 // of the members; 0: SRV records tell it
	// Servers are asked in this order, each by UDP and, where the answer is cut, by TCP: host:port.
	// Empty: those of /etc/resolv.conf, as it is at the time.
	Servers []string
}

var _ Source = DNS{}

// The bounds of waits between questions, and how long one server has for its answer.
const (
	leastTTL    = time.Second
	mostTTL     = 5 * time.Minute
	firstRetry  = time.Second
	lastRetry   = 30 * time.Second
	dnsPatience = 2 * time.Second
)

// Watch implements [Source].
func (d DNS) Watch(ctx context.Context, tell func([]Member, error)) {
	rewatch(ctx, d.lookup, tell)
}

// rewatch asks again and again, when what it was told is too old.
func rewatch(ctx context.Context, lookup func(context.Context) ([]Member, time.Duration, error), tell func([]Member, error)) {
	retry := firstRetry
	for ctx.Err() == nil {
		members, ttl, err := lookup(ctx)
		if ctx.Err() != nil {
			return
		}
		tell(members, err)
		wait := min(max(ttl, leastTTL), mostTTL)
		if err != nil {
			wait = retry
			retry = min(2*retry, lastRetry)
		} else {
			retry = firstRetry
		}
		timer := time.NewTimer(wait + rand.N(wait/10))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// lookup returns the members and for how long that is good.
func (d DNS) lookup(ctx context.Context) ([]Member, time.Duration, error) {
	kinds := []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA}
	if d.Port == 0 {
		kinds = []dnsmessage.Type{dnsmessage.TypeSRV}
	}
	var found []Member
	ttl := mostTTL
	for _, kind := range kinds {
		records, err := d.ask(ctx, kind)
		if err != nil {
			return nil, 0, fmt.Errorf("look up %s %s: %w", strings.TrimPrefix(kind.String(), "Type"), d.Name, err)
		}
		for _, r := range records {
			if m, ok := d.member(r); ok {
				found = append(found, m)
				ttl = min(ttl, time.Duration(r.Header.TTL)*time.Second)
			}
		}
	}
	if len(found) == 0 {
		return nil, 0, fault.New(fault.Unavailable, "%s has no such records", d.Name)
	}
	slices.SortFunc(found, func(a, b Member) int { return cmp.Compare(a.Address, b.Address) })
	return slices.CompactFunc(found, func(a, b Member) bool { return a.Address == b.Address }), ttl, nil
}

// member is what a record tells; false for one of another kind, such as an alias on the way.
func (d DNS) member(r dnsmessage.Resource) (Member, bool) {
	port := strconv.Itoa(int(d.Port))
	switch body := r.Body.(type) {
	case *dnsmessage.AResource:
		return Member{Address: net.JoinHostPort(netip.AddrFrom4(body.A).String(), port)}, d.Port != 0
	case *dnsmessage.AAAAResource:
		return Member{Address: net.JoinHostPort(netip.AddrFrom16(body.AAAA).String(), port)}, d.Port != 0
	case *dnsmessage.SRVResource:
		target := strings.TrimSuffix(body.Target.String(), ".")
		at := net.JoinHostPort(target, strconv.Itoa(int(body.Port)))
		// A target of "." says that there is no such service, RFC 2782.
		return Member{Address: at, Tier: int(body.Priority), Weight: float64(body.Weight)}, d.Port == 0 && target != ""
	}
	return Member{}, false
}

// ask returns the records of a kind from the first server that answers.
func (d DNS) ask(ctx context.Context, kind dnsmessage.Type) ([]dnsmessage.Resource, error) {
	servers := d.Servers
	if len(servers) == 0 {
		servers = resolvers()
	}
	q, err := newQuestion(d.Name, kind)
	if err != nil {
		return nil, err
	}
	err = fault.New(fault.Unavailable, "no server to ask: /etc/resolv.conf names none")
	for _, server := range servers {
		var records []dnsmessage.Resource
		if records, err = q.put(ctx, server); err == nil {
			return records, nil
		}
		err = fmt.Errorf("server %s: %w", server, err)
	}
	return nil, err
}
