package metrics_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/kubernetes/metrics"
	"github.com/lanewise/lanewise/kubernetes/scaling"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// told is what a router with a number of waiting calls tells.
func told(router string, waiting int64) func() metrics.Told {
	return func() metrics.Told {
		return metrics.Told{Router: router, Readings: []scaling.Reading{{Lane: "llm", Pool: "llm", Waiting: waiting, Members: 1, Slots: 1}}}
	}
}

func TestCollector_asksTheOthers(t *testing.T) {
	f := open(t, func(c *metrics.Config) { c.Readings, c.Key = told("b", 5), "secret" })
	tracker := scaling.NewTracker(nil)
	address := strings.TrimPrefix(f.URL, "https://")
	others := []string{address, "127.0.0.1:1"} // and one that is away
	collector := func(key string) *metrics.Collector {
		return metrics.NewCollector(metrics.CollectorConfig{
			Own: told("a", 2), Tracker: tracker, Key: key, Client: f.as(), Every: time.Minute,
			Others: func(context.Context) ([]string, error) { return others, nil },
		})
	}
	refused := collector("wrong")
	for range 5 {
		refused.Collect(t.Context())
	}
	if q := tracker.Figures()[0].Queue; q > 2 {
		t.Errorf("%v calls wait, the other router has told its own without the key", q)
	}
	for let := collector("secret"); tracker.Figures()[0].Queue <= 2; { // it is smoothed over seconds
		let.Collect(t.Context())
	}
	if n := len(tracker.Figures()); n != 1 {
		t.Errorf("%d pools", n)
	}
}

func TestCollector_countsItselfOnce(t *testing.T) {
	f := open(t, func(c *metrics.Config) { c.Readings, c.Key = told("a", 5), "secret" })
	var seen []string
	others := func(context.Context) ([]string, error) {
		seen = append(seen, "asked")
		return []string{strings.TrimPrefix(f.URL, "https://")}, errors.New("and a list that is not whole")
	}
	tracker := scaling.NewTracker(nil)
	c := metrics.NewCollector(metrics.CollectorConfig{Own: told("a", 5), Tracker: tracker, Key: "secret", Client: f.as(), Every: 10 * time.Millisecond, Others: others})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { c.Run(ctx); close(ended) }()
	for len(tracker.Figures()) == 0 || tracker.Figures()[0].Queue == 0 {
		select {
		case <-ended:
			t.Fatal("it has ended by itself")
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	<-ended
	if q := tracker.Figures()[0].Queue; q > 5 {
		t.Errorf("%v calls wait, there are 5", q)
	}
	if len(seen) == 0 {
		t.Error("nobody was asked")
	}
}

// away is a way to the others on which nobody answers.
type away bool

func (a *away) RoundTrip(*http.Request) (*http.Response, error) {
	if *a {
		return nil, errors.New("connection refused")
	}
	body := `{"router": "b", "readings": []}`
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func TestCollector_tellsOnceWhoIsSilent(t *testing.T) {
	var said strings.Builder
	var way away
	c := metrics.NewCollector(metrics.CollectorConfig{
		Own: told("a", 0), Tracker: scaling.NewTracker(nil), Client: &http.Client{Transport: &way}, Log: slog.New(slog.NewTextHandler(&said, nil)),
		Others: func(context.Context) ([]string, error) { return []string{"b:1"}, nil },
	})
	for _, way = range []away{false, true, true, true, false, false, true} {
		c.Collect(t.Context())
	}
	text := said.String()
	if strings.Count(text, "event=RouterSilent router=b:1") != 2 || strings.Count(text, "again") != 1 || strings.Count(text, "\n") != 3 {
		t.Error(text)
	}
}

func TestReadings_needTheKey(t *testing.T) {
	for _, key := range []string{"", "secret"} {
		f := open(t, func(c *metrics.Config) { c.Readings, c.Key = told("a", 1), key })
		for _, given := range []string{"", "Bearer ", "Bearer other"} {
			header := http.Header{}
			if given != "" {
				header.Set("Authorization", given)
			}
			if code := f.get(t, f.client, "/lanewise/v1/readings", header, nil); code != http.StatusUnauthorized {
				t.Errorf("key %q, given %q: status %d", key, given, code)
			}
		}
	}
}
