package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// service is the list of endpoints that clients have.
type service struct {
	mu       sync.Mutex
	pods     []*pod
	next     int
	onTheWay map[*pod]int // requests whose answers have not begun
}

func (s *service) add(p *pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.pods, p) {
		s.pods = append(s.pods, p)
	}
}

func (s *service) drop(p *pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pods = slices.DeleteFunc(s.pods, func(have *pod) bool { return have == p })
}

// take returns whose turn it is; arrive is to be called when the answer has begun.
func (s *service) take() (p *pod, arrive func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pods) == 0 {
		return nil, nil
	}
	p = s.pods[s.next%len(s.pods)]
	s.next++
	s.onTheWay[p]++
	return p, sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.onTheWay[p]--
	})
}

// settled reports whether all that was sent to a pod has arrived there.
func (s *service) settled(p *pod) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.onTheWay[p] == 0
}

// asking is a load of searches and answers, whole and streamed, in turn.
type asking struct {
	service   *service
	client    *http.Client
	got, lost atomic.Int64
	first     atomic.Value // what was lost first
}

// run asks until ctx ends, at most 50 times a second.
func (a *asking) run(ctx context.Context) {
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		p, arrive := a.service.take()
		if p == nil {
			a.count(errors.New("no endpoint"))
		} else {
			a.count(a.ask(p.url, i%long, arrive))
			arrive()
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
		}
	}
}

func (a *asking) count(err error) {
	if err == nil {
		a.got.Add(1)
		return
	}
	a.lost.Add(1)
	a.first.CompareAndSwap(nil, err.Error())
}

// ask is one request, whose answer must be whole. begun is called when it begins.
func (a *asking) ask(url string, kind int, begun func()) error {
	path, body, end := "/v1/chat/completions", chatBody("free", true), "[DONE]"
	switch kind {
	case 1:
		body, end = chatBody("free", false), `"free"`
	case 2:
		path, body, end = "/v1/search", `{"collection": "roads", "text": "road"}`, `"id":"a"`
	case long:
		body = chatBody("long", true)
	}
	res, err := a.client.Post(url+path, "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // it is read
	begun()
	text, err := io.ReadAll(res.Body)
	if err == nil && (res.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(end))) {
		err = fmt.Errorf("%s: %s: %.200s", path, res.Status, text)
	}
	return err
}

// long is the kind of an answer that does not end before it may.
const long = 3

func chatBody(question string, stream bool) string {
	return fmt.Sprintf(`{"model": "m", "messages": [{"role": "user", "content": %q}], "stream": %v}`, question, stream)
}

// roadEngine answers through OpenAI's API. The second half of a long answer comes when it is released.
func roadEngine(t *testing.T, release <-chan struct{}) string {
	t.Helper()
	const chunk = `data: {"id":"x","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"free "}}]}` + "\n\n"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !bytes.Contains(body, []byte(`"stream": true`)) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"id":"x","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"free"},"finish_reason":"stop"}]}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, chunk)
		w.(http.Flusher).Flush()
		if bytes.Contains(body, []byte("long")) {
			select {
			case <-release:
			case <-r.Context().Done():
				return
			}
		}
		_, _ = io.WriteString(w, chunk+"data: [DONE]\n\n")
	}))
	t.Cleanup(s.Close)
	return s.URL + "/v1"
}
