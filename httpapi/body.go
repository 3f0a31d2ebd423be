package httpapi

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search/wire"
)

// firstRead bounds what is allocated on the word of a Content-Length header.
const firstRead = 64 << 10

// body reads the JSON body of a request. It refuses other content types,
// compressed bodies (a small one may unpack to anything) and long ones.
func (s *server) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if err := checkHeaders(r.Header); err != nil {
		return nil, err
	}
	if r.ContentLength > s.maxBody {
		w.Header().Set("Connection", "close") // it is not read: the connection cannot be used again
		return nil, s.tooLarge()
	}
	size := min(max(r.ContentLength, 0), firstRead) + bytes.MinRead // room for the read that finds the end
	buf := bytes.NewBuffer(make([]byte, 0, size))
	if len(r.TransferEncoding) > 0 {
		// A length may have stood beside the chunks, and a proxy before this server may have believed that instead: nothing that
		// follows on this connection can be trusted (RFC 9112, section 6.3).
		w.Header().Set("Connection", "close")
	}
	in := &paced{Reader: http.MaxBytesReader(w, r.Body, s.maxBody), conn: http.NewResponseController(w), limits: s.clients, start: time.Now()}
	_, err := buf.ReadFrom(in)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, s.tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.Header().Set("Connection", "close") // the rest of it may still come
		return nil, refuse(http.StatusRequestTimeout, "the body came too slowly: it has %s, and after %s it needs %d bytes a second", s.clients.BodyTime, bodyGrace, s.clients.BodyRate)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fault.New(fault.Invalid, "the body ends before its announced length")
	case err != nil:
		return nil, fault.Wrap(fault.Invalid, "read the body", err)
	}
	_ = in.conn.SetReadDeadline(time.Time{}) // the connection's end is still listened for
	return buf.Bytes(), nil
}

// bodyGrace is for how long a body may come at any rate.
const bodyGrace = 10 * time.Second

// paced reads a body that has to arrive in time, and at a rate.
type paced struct {
	io.Reader
	conn   *http.ResponseController
	limits Clients
	start  time.Time
	read   int64
	until  time.Time // when the connection's patience ends
}

// Read moves the deadline on as bytes come. It is moved by a second at least, since that costs a little.
func (p *paced) Read(b []byte) (int, error) {
	earned := bodyGrace + time.Duration(p.read*int64(time.Second)/p.limits.BodyRate)
	until := p.start.Add(min(earned, p.limits.BodyTime))
	if until.Sub(p.until) >= time.Second || p.until.IsZero() {
		p.until = until
		_ = p.conn.SetReadDeadline(until) // in-memory connections have none
	}
	n, err := p.Reader.Read(b)
	p.read += int64(n)
	return n, err //nolint:wrapcheck // it is the body
}

func (s *server) tooLarge() error {
	return refuse(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes: send it in parts", s.maxBody)
}

func checkHeaders(h http.Header) error {
	if coding := h.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		err := refuse(http.StatusUnsupportedMediaType, "content-encoding %q: send the body uncompressed", coding)
		err.header = http.Header{"Accept-Encoding": {"identity"}}
		return err
	}
	given := h.Get("Content-Type")
	if given == "application/json" {
		return nil
	}
	kind, params, err := mime.ParseMediaType(given)
	if err != nil || kind != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, "content-type %q: must be application/json", given)
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return refuse(http.StatusUnsupportedMediaType, "charset %q: must be utf-8", charset)
	}
	return nil
}

// decode reads a body of the public API, holds it to the tenant of the caller and charges for it.
func decode[T any](s *server, w *recorder, r *http.Request) (T, error) {
	data, err := s.body(w, r)
	if err != nil {
		var none T
		return none, err
	}
	body, err := wire.Decode[T](data)
	if err == nil {
		err = s.bindAndCharge(w, r, &body)
	}
	return body, err
}

// bindAndCharge holds a body to the tenant of the caller, and takes what it will use from those who pay for it.
func (s *server) bindAndCharge(w *recorder, r *http.Request, body any) error {
	tenants, err := bindBody(r, body)
	if err != nil {
		return err
	}
	return s.charge(w, r, tenants, estimatesOf(body)...)
}

// answer is a response of one piece.
type answer struct {
	status      int    // 0: 200
	contentType string // "": application/json
	body        any
}

// write sends an answer. A body that cannot be encoded is a defect.
func (s *server) write(w *recorder, a answer) {
	data, err := wire.Encode(a.body)
	if err != nil {
		panic(err)
	}
	s.send(w, a, data)
}

// send writes an answer whose body is encoded already.
func (s *server) send(w *recorder, a answer, data []byte) {
	h := w.Header()
	h["Content-Type"] = []string{a.contentType}
	if a.contentType == "" {
		h["Content-Type"] = []string{"application/json"}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(data))}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(data) // the client's end: nobody is left to be told
}

// reply sends a body with status 200 and leaves a failure to encode it to the
// caller.
func (s *server) reply(w *recorder, body any) error {
	data, err := wire.Encode(body)
	if err != nil {
		return err
	}
	s.send(w, answer{}, data)
	return nil
}
