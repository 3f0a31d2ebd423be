// Package openaiwire holds what the providers for OpenAI-compatible servers
// share: one HTTP client with bounded answers, and the reading of error bodies
// and Retry-After headers into fault classes.
package openaiwire

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/plainhttp"
	"github.com/lanewise/lanewise/internal/tracing"
)

// Config says where a server is and how to be let in.
type Config struct {
	// URL is the base that the paths are appended to, such as
	// "https://api.openai.com/v1". A base without a path gets Root. A query is kept.
	URL  string
	Root string // path of a base that has none; empty: "/v1"
	// Key is sent as a bearer token; empty: no Authorization header.
	Key string
	// Keys are used in turn, beside Key. One that is refused is never used again.
	Keys []string
	// KeyHeader is the header that carries the key as it is, such as "api-key" for
	// Azure; empty: Authorization, as a bearer token.
	KeyHeader string
	// Headers are sent with every call, by canonical name.
	Headers map[string]string
	// Client carries the calls; nil: one of its own, which follows no redirects.
	Client *http.Client
}

// Client speaks JSON with one server. Safe for concurrent use.
type Client struct {
	base   *url.URL
	keys   *keyring
	header string
	extra  map[string]string
	do     func(*http.Request) (*http.Response, error)
	close  func()
}

// New checks c. Its errors name the field ("url", "key") and never quote the key.
func New(c Config) (*Client, error) {
	base, err := url.Parse(c.URL)
	if err != nil {
		return nil, fault.BadField("/url", "not a URL") // the parser's text would quote it
	}
	switch {
	case base.Scheme != "http" && base.Scheme != "https", base.Host == "":
		return nil, fault.BadField("/url", "must be an http or https URL with a server's name")
	case base.User != nil:
		return nil, fault.BadField("/url", "must not carry a user or password: use the key")
	}
	if strings.Trim(base.Path, "/") == "" {
		base.Path = cmp.Or(c.Root, "/v1")
	}
	keys, err := newKeyring(append([]string{c.Key}, c.Keys...))
	if err != nil {
		return nil, err
	}
	client := &Client{base: base, keys: keys, header: c.KeyHeader, extra: c.Headers, close: func() {}}
	if c.Client != nil {
		client.do = c.Client.Do
		return client, nil
	}
	own := NewHTTPClient()
	client.do, client.close = own.Transport.RoundTrip, own.CloseIdleConnections // without cookies and redirects there is nothing in between
	return client, nil
}

// NewHTTPClient returns a client without a total timeout, since the callers'
// contexts bound every call, and without redirects: one to another server would
// take the texts along.
func NewHTTPClient() *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    5 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		ReadBufferSize:         2 << 10, // of each connection, open streams among them; long answers are read past it
	}
	return &http.Client{
		Transport:     &plainhttp.Transport{Else: transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Close drops idle connections. Calls that are under way go on.
func (c *Client) Close() { c.close() }

// Post sends body as JSON to path below the base URL. An answer with status 200
// is returned open, for the caller to close; any other becomes an error with its
// class (see [Client.Fault]). The end of ctx comes back as ctx's own error.
//
// Where there are several keys, a call whose key is refused or told to wait is
// made again with the next one.
func (c *Client) Post(ctx context.Context, path string, body any) (*http.Response, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "encode the call of "+path, err)
	}
	return c.send(ctx, http.MethodPost, path, data)
}

// PostRaw is [Client.Post] for a body that is JSON already. It is not changed. Where
// the answer may stay open for long, it is let go of as soon as there is one.
func (c *Client) PostRaw(ctx context.Context, path string, body []byte, long bool) (*http.Response, error) {
	p := &payload{long: long}
	resp, err := c.try(ctx, path, func() (*http.Request, error) { return p.request(ctx, c.url(path), body), nil })
	if err == nil {
		p.release()
	}
	return resp, err
}

// Get is [Client.Post] for a resource that is only read.
func (c *Client) Get(ctx context.Context, path string) (*http.Response, error) {
	return c.send(ctx, http.MethodGet, path, nil)
}

// send makes a call of a method.
func (c *Client) send(ctx context.Context, method, path string, data []byte) (*http.Response, error) {
	return c.try(ctx, path, func() (*http.Request, error) {
		return http.NewRequestWithContext(ctx, method, c.url(path).String(), bytes.NewReader(data))
	})
}

// try makes a call with the keys in turn, until one is taken.
func (c *Client) try(ctx context.Context, path string, prepare func() (*http.Request, error)) (*http.Response, error) {
	for {
		at, key, err := c.keys.pick()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.where(path), err)
		}
		req, err := prepare()
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, "prepare the call of "+path, err)
		}
		c.sign(req, key)
		resp, err := c.once(ctx, path, req)
		if !c.keys.judge(at, err) {
			return resp, err
		}
	}
}

// sign puts the headers of a call.
func (c *Client) sign(req *http.Request, key string) {
	if req.Method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", "lanewise")
	tracing.Header(req.Context(), req.Header)
	for name, value := range c.extra {
		req.Header.Set(name, value)
	}
	switch {
	case key == "":
	case c.header != "":
		req.Header.Set(c.header, key)
	default:
		req.Header.Set("Authorization", "Bearer "+key)
	}
}

// once makes one call.
func (c *Client) once(ctx context.Context, path string, req *http.Request) (*http.Response, error) {
	resp, err := c.do(req)
	if err != nil {
		return nil, c.Broken(ctx, path, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil && ctx.Err() != nil {
		return nil, c.Broken(ctx, path, err)
	}
	return nil, c.Fault(path, resp, text)
}

func (c *Client) url(path string) *url.URL {
	u := *c.base
	u.Path = strings.TrimRight(u.Path, "/") + path
	u.RawPath = ""
	return &u
}

// ReadJSON decodes the body of an answer of at most limit bytes into v. An answer
// that is cut off, too long or no JSON is Unavailable: another server may do better.
func (c *Client) ReadJSON(ctx context.Context, resp *http.Response, limit int64, v any) error {
	path := c.pathOf(resp)
	data, err := c.ReadAll(ctx, resp, limit)
	if err != nil {
		return err
	}
	if len(data) <= maxErrorBody && bytes.Contains(data, []byte("error")) { // perhaps one with status 200
		if err := c.StreamFault(path, "", data); err != nil {
			return err
		}
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fault.New(fault.Unavailable, "%s: answer is not what was expected: %s", c.where(path), c.clean(err.Error()))
	}
	return nil
}

// ReadAll reads the body of an answer of at most limit bytes. One that is cut off
// or too long is Unavailable.
func (c *Client) ReadAll(ctx context.Context, resp *http.Response, limit int64) ([]byte, error) {
	var data []byte
	var err error
	if n := resp.ContentLength; n >= 0 && n <= limit {
		data = make([]byte, n)
		_, err = io.ReadFull(resp.Body, data)
	} else {
		data, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	}
	switch {
	case err != nil:
		return nil, c.Broken(ctx, c.pathOf(resp), err)
	case int64(len(data)) > limit:
		return nil, fault.New(fault.Unavailable, "%s: answer is longer than %d bytes", c.where(c.pathOf(resp)), limit)
	}
	return data, nil
}

// pathOf returns the path of a call below the base.
func (c *Client) pathOf(resp *http.Response) string {
	return strings.TrimPrefix(resp.Request.URL.Path, strings.TrimRight(c.base.Path, "/"))
}

// Broken returns the error of a call of path that failed below HTTP, or whose
// answer broke off: ctx's own error if ctx has ended, else Unavailable.
func (c *Client) Broken(ctx context.Context, path string, err error) error {
	if ended := over(ctx); ended != nil {
		return fmt.Errorf("%s: %w", c.where(path), ended)
	}
	return fault.New(fault.Unavailable, "%s: %s", c.where(path), c.clean(cause(err)))
}

// over returns the error of a context that has ended, or is about to: a connection's own timer for
// the same deadline may fire first.
func over(ctx context.Context) error {
	due, ok := ctx.Deadline()
	if err := ctx.Err(); err != nil || !ok || time.Now().Before(due) {
		return err
	}
	return context.DeadlineExceeded
}

// cause strips the URL that net/http puts before its errors.
func cause(err error) string {
	if u, ok := err.(*url.Error); ok { //nolint:errorlint // net/http returns it bare
		return u.Err.Error()
	}
	return err.Error()
}

// where names a call without the query of its URL, which may hold secrets.
func (c *Client) where(path string) string {
	u := url.URL{Scheme: c.base.Scheme, Host: c.base.Host, Path: c.url(path).Path}
	return u.String()
}

// clean makes an upstream's text fit for an error: without keys, on one line,
// at most 300 bytes.
func (c *Client) clean(text string) string {
	text = c.keys.hide(text)
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return text
}
