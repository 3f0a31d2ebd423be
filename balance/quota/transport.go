package quota

import "net/http"

// Transport is an http.RoundTripper that reads from every answer what the
// upstream says is left of its limits, and lowers the bucket to that. Safe for
// concurrent use.
type Transport struct {
	Bucket *Bucket
	Base   http.RoundTripper // makes the calls; nil: http.DefaultTransport
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	resp, err := base.RoundTrip(req)
	if err == nil {
		t.Bucket.Clamp(Headers(resp.Header.Get))
	}
	return resp, err
}

// CloseIdleConnections does what http.Client's method of this name asks for.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.Base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
