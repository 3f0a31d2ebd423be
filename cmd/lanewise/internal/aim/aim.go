// Package aim opens what a benchmark loads: a lanewise server or a collection of an engine.
package aim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/lanewise/lanewise/bench/data"
	"github.com/lanewise/lanewise/bench/query"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/engine"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

// Options say what of a target is loaded.
type Options struct {
	Collection string      // on lanewise servers
	Texts      bool        // draw texts
	Key        string      // of lanewise servers
	TLS        *tls.Config // of lanewise servers; nil: the system's settings
	EngineKey  string
}

// Target is one of them.
type Target struct {
	Name, About string
	Options
	server *client.Client
	idle   func()
	engine *engine.Source
}

var _ query.Target = (*Target)(nil)

// connections that are kept open to a server: as many as calls may be under way.
const connections = 4096

// Open connects to a URL.
func Open(ctx context.Context, url string, o Options) (*Target, error) {
	t := &Target{Name: url, Options: o}
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
		source, err := engine.Open(ctx, engine.Options{URL: url, Key: o.EngineKey, Name: o.Collection})
		if err != nil {
			return nil, err
		}
		t.engine = source
		t.Name = source.Replica.URL + "/" + source.External.From // without a password
		t.About = source.Describe() + ", asked through lanewise's adapter"
		return t, nil
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:errcheck,forcetypeassert // it is the standard library's
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = connections, connections
	if o.TLS != nil {
		transport.TLSClientConfig = o.TLS.Clone() // each transport changes its own
	}
	server, err := client.New(client.Config{URL: url, Key: o.Key, Transport: transport})
	if err != nil {
		return nil, err
	}
	t.server, t.idle = server, transport.CloseIdleConnections
	c, err := server.Collection(ctx, o.Collection)
	if err != nil {
		return nil, err
	}
	t.About = fmt.Sprintf("a lanewise server, collection %s of %d dims, %s", o.Collection, c.Dims, c.Metric)
	return t, nil
}

// Close ends the connections.
func (t *Target) Close() {
	if t.engine != nil {
		_ = t.engine.Close() // everything was read
		return
	}
	t.idle()
}

// Search implements query.Target.
func (t *Target) Search(ctx context.Context, a query.Ask) (query.Answer, error) {
	if t.engine != nil {
		return t.askEngine(ctx, a)
	}
	r := wire.SearchRequest{
		Collection: t.Collection, Text: a.Text, Vector: a.Vector, K: a.K, Mode: a.Mode, Tenant: a.Tenant, Filter: a.Filter,
		Exact: a.Exact, TimeoutMS: int(a.Timeout.Milliseconds()), Include: []string{},
	}
	found, err := t.server.Search(ctx, r)
	if err != nil {
		return query.Answer{}, err
	}
	out := query.Answer{IDs: make([]string, len(found.Hits)), Coverage: found.Report.Coverage, Hedges: found.Report.Hedges}
	for i, h := range found.Hits {
		out.IDs[i] = h.ID
	}
	return out, nil
}

func (t *Target) askEngine(ctx context.Context, a query.Ask) (query.Answer, error) {
	switch {
	case len(a.Vector) == 0:
		return query.Answer{}, fault.New(fault.Invalid, "an engine is asked with vectors: this query is a text")
	case a.Mode != "" && a.Mode != "dense":
		return query.Answer{}, fault.New(fault.Invalid, "an engine has no mode %q", a.Mode)
	}
	if a.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.Timeout)
		defer cancel()
	}
	found, err := t.engine.Search(ctx, search.Query{
		Collection: t.engine.External.Name, Tenant: a.Tenant, Filter: a.Filter, Legs: []search.Leg{{Dense: a.Vector, K: a.K, Exact: a.Exact}},
	})
	if err != nil {
		return query.Answer{}, err
	}
	out := query.Answer{Coverage: 1}
	for _, h := range found.Lists[0].Hits {
		out.IDs = append(out.IDs, h.ID)
	}
	return out, nil
}

// words is how many of a text's words make a query.
const words = 8

// Draw makes queries of the first n points.
func (t *Target) Draw(ctx context.Context, n int, tenant string) (out []data.Query, err error) {
	points, err := t.first(ctx, n, tenant)
	if err != nil {
		return nil, fmt.Errorf("draw queries from %s: %w", t.Name, err)
	}
	for _, p := range points {
		if t.Texts {
			if f := strings.Fields(p.Text); len(f) > 0 {
				out = append(out, data.Query{Text: strings.Join(f[:min(words, len(f))], " ")})
			}
		} else if len(p.Dense) > 0 {
			out = append(out, data.Query{Vector: p.Dense})
		}
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Invalid, "%s has no points to draw queries from: give --queries FILE", t.Name)
	}
	return out, nil
}

func (t *Target) first(ctx context.Context, n int, tenant string) (out []search.Point, err error) {
	next := ""
	for len(out) < n {
		var page []search.Point
		if t.engine != nil {
			page, next, err = t.engine.Walk(ctx, t.engine.External.Name, next, min(n-len(out), 1000))
		} else {
			page, next, err = t.server.Scroll(ctx, t.Collection, wire.ScrollRequest{Tenant: tenant, Limit: min(n-len(out), 1000), Cursor: next, Include: []string{"text", "vector"}})
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			return nil, err
		}
		if out = append(out, page...); next == "" || len(page) == 0 {
			break
		}
	}
	return out, ctx.Err()
}
