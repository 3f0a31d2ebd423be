// Package client speaks to a lanewise server over its public API, for the
// commands that need one.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/corpus"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

// maxAnswer bounds the body of an answer, in bytes.
const maxAnswer = 256 << 20

// Config says where the server is.
type Config struct {
	URL       string            // such as http://127.0.0.1:8080
	Key       string            // sent as a bearer token; empty: none
	TLS       *tls.Config       // of https URLs; nil: the system's settings
	Transport http.RoundTripper // instead of one for TLS; nil: http.DefaultTransport
}

// Client calls a server. Safe for concurrent use.
type Client struct {
	base *url.URL
	key  string
	http *http.Client
}

// New returns a client. It makes no call.
func New(c Config) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(c.URL, "/"))
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fault.New(fault.Invalid, "%q is not a URL: write it as http://127.0.0.1:8080", c.URL)
	}
	if c.Transport == nil && c.TLS != nil {
		c.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: c.TLS, ForceAttemptHTTP2: true}
	}
	return &Client{base: base, key: c.Key, http: &http.Client{Transport: c.Transport}}, nil
}

// Ready asks whether the server may get traffic; where it says no, the error says why.
func (c *Client) Ready(ctx context.Context) error {
	resp, err := c.send(ctx, request{method: http.MethodGet, path: []string{"readyz"}})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// CreateCollection creates a collection, or finds it as it is.
func (c *Client) CreateCollection(ctx context.Context, name string, body wire.Collection) (wire.Collection, error) {
	return call[wire.Collection](ctx, c, request{method: http.MethodPut, path: []string{"v1", "collections", name}, body: body})
}

// DropCollection removes a collection with its points.
func (c *Client) DropCollection(ctx context.Context, name string) error {
	resp, err := c.send(ctx, request{method: http.MethodDelete, path: []string{"v1", "collections", name}})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Collection describes a collection. One that is not there is fault.NotFound.
func (c *Client) Collection(ctx context.Context, name string) (wire.Collection, error) {
	return call[wire.Collection](ctx, c, request{method: http.MethodGet, path: []string{"v1", "collections", name}, body: nil})
}

// Search finds points.
func (c *Client) Search(ctx context.Context, body wire.SearchRequest) (wire.SearchResponse, error) {
	return call[wire.SearchResponse](ctx, c, request{method: http.MethodPost, path: []string{"v1", "search"}, body: body})
}

// Answer answers a question.
func (c *Client) Answer(ctx context.Context, body wire.AnswerRequest) (wire.AnswerResponse, error) {
	return call[wire.AnswerResponse](ctx, c, request{method: http.MethodPost, path: []string{"v1", "answer"}, body: body})
}

// Upsert stores documents of one tenant in a collection.
func (c *Client) Upsert(ctx context.Context, collection, tenant string, docs []corpus.Document) error {
	body := upsert{Tenant: tenant, Points: make([]point, len(docs))}
	for i, d := range docs {
		body.Points[i] = point{ID: d.ID, Text: d.Text, Vector: packed(d.Vector), Metadata: jsontext.Value(d.Meta)}
	}
	_, err := call[wire.WriteResponse](ctx, c, request{method: http.MethodPut, path: []string{"v1", "collections", collection, "points"}, body: body})
	return err
}

// upsert is a wire.UpsertRequest whose vectors are packed: to write and read them as
// numbers costs more than everything else in an import.
type upsert struct {
	Tenant string  `json:"tenant,omitzero"`
	Points []point `json:"points"`
}

type point struct {
	ID       string         `json:"id"`
	Text     string         `json:"text,omitzero"`
	Vector   []byte         `json:"vector,omitempty"` // base64 of little-endian float32
	Metadata jsontext.Value `json:"metadata,omitzero"`
}

// packed is v as little-endian float32.
func packed(v []float32) []byte {
	raw := make([]byte, 0, 4*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return raw
}

// Point fetches one point. One that is not there is fault.NotFound.
func (c *Client) Point(ctx context.Context, collection, tenant, id string) (wire.Point, error) {
	path := []string{"v1", "collections", collection, "points", id}
	if tenant != "" {
		return call[wire.Point](ctx, c, request{method: http.MethodGet, path: path, query: url.Values{"tenant": {tenant}}})
	}
	return call[wire.Point](ctx, c, request{method: http.MethodGet, path: path})
}

// Scroll reads a page of points, and what continues behind it; empty: nothing does.
func (c *Client) Scroll(ctx context.Context, collection string, body wire.ScrollRequest) (points []search.Point, next string, err error) {
	page, err := call[wire.ScrollResponse](ctx, c, request{
		method: http.MethodPost, path: []string{"v1", "collections", collection, "points", "scroll"}, body: body,
	})
	for _, p := range page.Points {
		points = append(points, search.Point{Key: search.Key{Tenant: p.Tenant, ID: p.ID}, Dense: p.Vector, Text: p.Text, Meta: p.Metadata})
	}
	return points, page.NextCursor, err
}

// Count counts the points of a tenant.
func (c *Client) Count(ctx context.Context, collection, tenant string) (int, error) {
	n, err := call[wire.CountResponse](ctx, c, request{
		method: http.MethodPost, path: []string{"v1", "collections", collection, "points", "count"}, body: wire.CountRequest{Tenant: tenant},
	})
	return n.Count, err
}

// request is a call to make: a method, a path by its segments, and a body or nil.
type request struct {
	method string
	path   []string
	body   any
	query  url.Values
}

// call makes a request and reads its answer.
func call[T any](ctx context.Context, c *Client, r request) (answer T, err error) {
	resp, err := c.send(ctx, r)
	if err != nil {
		return answer, err
	}
	defer resp.Body.Close() //nolint:errcheck // the answer is read or given up
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer, c.unreachable(ctx, err)
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return answer, fault.Wrap(fault.Unavailable, "read the answer of "+c.base.String(), err)
	}
	return answer, nil
}

// send makes a request. An answer that is no 2xx is returned as the error that
// its problem document describes.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	req, err := c.build(ctx, r)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close() //nolint:errcheck // an error answers already
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if p, err := wire.Decode[wire.Problem](data); err == nil {
		return nil, p.Err()
	}
	return nil, c.stranger(resp)
}

func (c *Client) build(ctx context.Context, r request) (*http.Request, error) {
	var body io.Reader
	if r.body != nil {
		data, err := wire.Encode(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	segments := make([]string, len(r.path))
	for i, s := range r.path {
		segments[i] = url.PathEscape(s)
	}
	address := c.base.String() + "/" + strings.Join(segments, "/")
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, fmt.Errorf("build request: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	return req, nil
}

// unreachable words the failure of a connection for somebody at a terminal.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err // the URL is in the text already
	}
	return fault.Wrap(fault.Unavailable, "no lanewise server answers at "+c.base.String(), err)
}

// stranger is the error of an answer that no lanewise server gives.
func (c *Client) stranger(resp *http.Response) error {
	class := fault.Unavailable
	if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed {
		class = fault.NotFound
	}
	return fault.New(class, "%s answers %s to %s: is it a lanewise server?", c.base, resp.Status, resp.Request.URL.Path)
}
