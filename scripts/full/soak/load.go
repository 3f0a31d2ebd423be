package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	points    = 20_000
	dims      = 32
	questions = 200
	topK      = 10
	batch     = 1000
)

// quiz is questions with their right answers.
type quiz struct {
	url    string // of the router
	asks   [][]byte
	wants  [][]string
	client *http.Client
}

type point struct {
	ID     string    `json:"id"`
	Vector []float32 `json:"vector"`
}

// fill stores points and works out the right answers by looking at all of them.
func (s *system) fill(ctx context.Context, seed uint64) (*quiz, error) {
	rng := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // reproducible on purpose
	q := &quiz{url: "http://" + s.router.address, client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256, IdleConnTimeout: 10 * time.Second}}}
	for _, name := range []string{"docs", "writes"} {
		if err := q.call(ctx, "PUT /v1/collections/"+name, map[string]any{"dims": dims, "metric": "dot"}, nil); err != nil {
			return nil, err
		}
	}
	all := make([]point, points)
	for i := range all {
		all[i] = point{fmt.Sprintf("p%05d", i), random(rng)}
	}
	for part := range slices.Chunk(all, batch) {
		if err := q.call(ctx, "PUT /v1/collections/docs/points", map[string]any{"points": part}, nil); err != nil {
			return nil, err
		}
	}
	for range questions {
		vector := random(rng)
		ask, err := json.Marshal(map[string]any{"collection": "docs", "vector": vector, "k": topK, "exact": true, "include": []string{}})
		if err != nil {
			return nil, err
		}
		q.asks, q.wants = append(q.asks, ask), append(q.wants, nearest(all, vector))
	}
	return q, nil
}

func random(rng *rand.Rand) []float32 {
	v := make([]float32, dims)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

// nearest are the ids of the best points.
func nearest(all []point, vector []float32) (ids []string) {
	scores := make(map[string]float64, len(all))
	for _, p := range all {
		for i, x := range p.Vector {
			scores[p.ID] += float64(x) * float64(vector[i])
		}
	}
	best := slices.Clone(all)
	slices.SortFunc(best, func(a, b point) int { return cmp.Compare(scores[b.ID], scores[a.ID]) })
	for _, p := range best[:topK] {
		ids = append(ids, p.ID)
	}
	return ids
}

// ask asks the i-th question and reports whether the answer is right.
func (q *quiz) ask(ctx context.Context, i int) (right bool, err error) {
	var found struct {
		Hits []struct {
			ID string `json:"id"`
		} `json:"hits"`
		Report struct {
			Complete bool `json:"complete"`
		} `json:"report"`
	}
	if err := q.send(ctx, "POST /v1/search", q.asks[i], &found); err != nil {
		return false, err
	}
	var got []string
	for _, h := range found.Hits {
		got = append(got, h.ID)
	}
	return found.Report.Complete && slices.Equal(got, q.wants[i]), nil
}

// capacity is how many searches a second eight callers get out of the system.
func (q *quiz) capacity(ctx context.Context) (perSecond float64, err error) {
	const lasts, callers = 3 * time.Second, 8
	var asking sync.WaitGroup
	var done atomic.Int64
	var failed atomic.Pointer[error]
	began := time.Now()
	for c := range callers {
		asking.Go(func() {
			for i := c; time.Since(began) < lasts; i += callers {
				if right, err := q.ask(ctx, i%questions); err != nil || !right {
					err = cmp.Or(err, fmt.Errorf("question %d was not answered right", i%questions))
					failed.Store(&err)
					return
				}
				done.Add(1)
			}
		})
	}
	asking.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(done.Load()) / time.Since(began).Seconds(), nil
}

// call sends a body to what is named like "PUT /v1/collections/docs".
func (q *quiz) call(ctx context.Context, what string, body, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return q.send(ctx, what, data, into)
}

func (q *quiz) send(ctx context.Context, what string, body []byte, into any) error {
	method, path, _ := strings.Cut(what, " ")
	req, err := http.NewRequestWithContext(ctx, method, q.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	return receive(q.client, req, into)
}

// get fetches JSON, or the text of a page.
func get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	return receive(http.DefaultClient, req, into)
}

func receive(client *http.Client, req *http.Request, into any) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(data[:min(len(data), 300)]))
	}
	switch into := into.(type) {
	case nil:
		return nil
	case *string:
		*into = string(data)
		return nil
	default:
		return json.Unmarshal(data, into)
	}
}
