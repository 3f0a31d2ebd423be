package config

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/lanewise/lanewise/discovery"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/kubernetes"
	"github.com/lanewise/lanewise/kubernetes/metrics"
)

// discover says who tells the members of a pool that take the place of the upstream or replica
// at which it stands: they have all of its settings, and its URL with an address of their own.
type discover struct {
	Static []string `yaml:"static,omitempty"` // addresses: host:port, or URLs
	File   string   `yaml:"file,omitempty"`   // a list of members, read again when it changes
	DNS    dnsName  `yaml:"dns,omitempty"`

	Endpoints endpoints `yaml:"endpoints,omitempty"`
}

// endpoints are those of a service of Kubernetes.
type endpoints struct {
	Service   string `yaml:"service,omitempty"`
	Namespace string `yaml:"namespace,omitempty"` // default: that of the section kubernetes
	Port      string `yaml:"port,omitempty"`      // its name or number. Default: the only one
	Zone      string `yaml:"zone,omitempty"`      // of this router: members of another are a tier further. Default: all are alike
	// Hold is how many calls may wait while the service is scaled to zero. Default 0: an answer
	// without anybody changes nothing.
	Hold int `yaml:"hold,omitempty"`
}

// dnsName is looked up again when its records' time to live has passed.
type dnsName struct {
	Name    string   `yaml:"name,omitempty"`    // full
	Port    int      `yaml:"port,omitempty"`    // of the addresses (A, AAAA). Default: SRV records are asked for
	Servers []string `yaml:"servers,omitempty"` // host:port. Default: those of /etc/resolv.conf
}

func (d discover) isZero() bool { return reflect.ValueOf(d).IsZero() }

// source returns who tells the members.
func (d discover) source(connect func() (*kubernetes.Cluster, error)) discovery.Source {
	switch e := d.Endpoints; {
	case e.Service != "":
		c, err := connect()
		if err != nil {
			return nowhere{err}
		}
		s := c.Endpoints(e.Namespace, e.Service, e.Port)
		s.Zone, s.Zero = e.Zone, e.Hold > 0
		return s
	case d.File != "":
		return discovery.File{Path: d.File}
	case d.DNS.Name != "":
		return discovery.DNS{Name: d.DNS.Name, Port: uint16(d.DNS.Port), Servers: d.DNS.Servers} //nolint:gosec // checked
	}
	members := make(discovery.Static, len(d.Static))
	for i, address := range d.Static {
		members[i].Address = address
	}
	return members
}

// nowhere is a source that cannot be asked.
type nowhere struct{ err error }

func (n nowhere) Watch(ctx context.Context, tell func([]discovery.Member, error)) {
	tell(nil, n.err)
	<-ctx.Done()
}

// discoverUpstream checks who tells the members that stand for an upstream.
func (v *validator) discoverUpstream(path string, d discover, builtIn bool) {
	if d.isZero() {
		return
	}
	for _, key := range []string{".metrics", ".quota"} {
		_, given := v.places[path+key]
		v.check(!given, path+key, "has no meaning beside discover: it is of one server")
	}
	v.discover(path+".discover", d, builtIn)
}

// discover checks who tells the members; builtIn is whether there is no server to find.
func (v *validator) discover(path string, d discover, builtIn bool) {
	if d.isZero() {
		return
	}
	v.check(!builtIn, path, "has no meaning here: there is no server to find")
	given := 0
	for _, is := range []bool{len(d.Static) > 0, d.File != "", !reflect.ValueOf(d.DNS).IsZero(), d.Endpoints != endpoints{}} {
		if is {
			given++
		}
	}
	v.check(given == 1, path, "needs one of static, file, dns and endpoints")
	v.check(d.Endpoints == endpoints{} || d.Endpoints.Service != "", path+".endpoints.service", "missing: which service?")
	v.check(d.Endpoints.Hold >= 0, path+".endpoints.hold", "must not be negative")
	v.check(d.Endpoints.Hold == 0 || strings.HasPrefix(path, "llm."), path+".endpoints.hold", "is for upstreams of llm: calls of others are not held")
	dns := !reflect.ValueOf(d.DNS).IsZero()
	v.check(!dns || d.DNS.Name != "", path+".dns.name", "missing: which name?")
	v.check(d.DNS.Port >= 0 && d.DNS.Port < 1<<16, path+".dns.port", "is no port")
	for i, server := range d.DNS.Servers {
		v.listen(fmt.Sprintf("%s.dns.servers[%d]", path, i), server)
	}
	for i, address := range d.Static {
		_, err := relocated("http://host", address)
		v.check(err == nil, fmt.Sprintf("%s.static[%d]", path, i), fmt.Sprint(err))
	}
}

// relocated is a configured URL at the address of a member, which may be a URL of its own.
func relocated(configured, address string) (string, error) {
	if strings.Contains(address, "://") {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" {
			return "", fmt.Errorf("%q is not a URL", address)
		}
		return address, nil
	}
	if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
		return "", fmt.Errorf("%q is no address: write host:port, or a URL", address)
	}
	u, err := url.Parse(configured)
	if err != nil {
		return "", fmt.Errorf("read the configured URL: %w", err)
	}
	u.Host = address
	return u.String(), nil
}

// found are the members of a pool that a source tells: P is what is opened for each, and U its place in the pool.
type found[P io.Closer, U any] struct {
	url   string // as configured
	open  func(url string) (P, error)
	place func(m discovery.Member, p P) U
	apply func([]U) error
	means map[string]string // what the labels of members are, which have them
	have  map[string]P      // by URL
}

// mine refuses a member whose labels say that it is another's: it has another model, or holds another shard.
func (f *found[P, U]) mine(m discovery.Member) error {
	written := func(name string) string { return metrics.Labels("llm", name)["model"] } // as a label can be
	for key, want := range f.means {
		if got := m.Labels[key]; got != "" && want != "" && written(got) != written(want) {
			return fault.New(fault.Invalid, "member %s: its label %s is %q, not %q", m.Name, key, got, want)
		}
	}
	return nil
}

// step applies what was found. Where it cannot be applied nothing has changed.
func (f *found[P, U]) step(members []discovery.Member) (err error) {
	for _, m := range members {
		if err := f.mine(m); err != nil {
			return err
		}
	}
	next := make(map[string]P, len(members))
	defer func() {
		drop := f.have
		if err != nil {
			drop, next = next, f.have
		}
		for url, p := range drop {
			if _, stays := next[url]; !stays {
				err = errors.Join(err, p.Close())
			}
		}
		f.have = next
	}()
	list := make([]U, len(members))
	for i, m := range members {
		url, err := relocated(f.url, m.Address)
		if err != nil {
			return err
		}
		p, ok := next[url]
		if !ok {
			if p, ok = f.have[url]; !ok {
				if p, err = f.open(url); err != nil {
					return fmt.Errorf("member %s: %w", m.Name, err)
				}
			}
			next[url] = p
		}
		list[i] = f.place(m, p)
	}
	return f.apply(list)
}

// close closes what is open.
func (f *found[P, U]) close() error {
	var errs []error
	for _, p := range f.have {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// discovering has a pool follow what a source tells, until the system is closed.
func discovering[P io.Closer, U any](s *System, pool string, d discover, f *found[P, U]) *discovery.Follower {
	apply := f.apply
	f.apply = func(members []U) error {
		err := apply(members)
		s.repeat() // to those that have come back
		return err
	}
	follower := discovery.Follow(pool, d.source(s.clustered.connect), s.log, f.step)
	s.followers.add(follower)
	s.opened(func() error {
		s.followers.drop(follower)
		return errors.Join(follower.Close(), f.close())
	})
	return follower
}

// roster is the members of one lane, by the place in the configuration that each of them stands for.
type roster[U any] struct {
	mu     sync.Mutex
	places [][]U
	update func([]U) error
}

// set replaces the members of one place.
func (r *roster[U]) set(at int, members []U) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.places[at]
	r.places[at] = members
	err := r.update(slices.Concat(r.places...))
	if err != nil {
		r.places[at] = old
	}
	return err
}

// alone is a roster with one member in each place.
func alone[U any](members []U, update func([]U) error) *roster[U] {
	r := &roster[U]{update: update}
	for _, m := range members {
		r.places = append(r.places, []U{m})
	}
	return r
}

// shared is a member's share of the weight that is configured for all of them.
func shared(weight float64, m discovery.Member) float64 {
	return cmp.Or(weight, 1) * cmp.Or(m.Weight, 1)
}

// memberName is that of a found member in its pool.
func memberName(configured string, m discovery.Member) string { return configured + "@" + m.Name }

// followers are those of a system, for who watches over it.
type followers struct {
	mu  sync.Mutex
	all []*discovery.Follower
}

func (f *followers) add(one *discovery.Follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, one)
}

func (f *followers) drop(one *discovery.Follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = slices.DeleteFunc(f.all, func(x *discovery.Follower) bool { return x == one })
}

// status tells what each of them knows.
func (f *followers) status() []discovery.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]discovery.Status, len(f.all))
	for i, one := range f.all {
		out[i] = one.Status()
	}
	return out
}
