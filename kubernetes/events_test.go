package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
)

// shelf takes Events, as an API server does that is away for the first few.
type shelf struct {
	mu     sync.Mutex
	away   int
	events []*corev1.Event
	writes int
}

func (s *shelf) Create(e *corev1.Event) (*corev1.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away > 0 {
		s.away--
		return nil, errors.New("connection refused")
	}
	s.events = append(s.events, e)
	s.writes++
	return e, nil
}

func (s *shelf) Update(e *corev1.Event) (*corev1.Event, error) {
	return e, errors.New("nobody updates")
}

func (s *shelf) Patch(e *corev1.Event, _ []byte) (*corev1.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	return e, nil
}

// count is how many Events there are, and how often one was written.
func (s *shelf) count() (events, writes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.events), s.writes
}

// recording is a log whose lines are Events on a shelf, and ends them.
func recording(s *shelf) (log *slog.Logger, end func()) {
	pod := &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "rag", Name: "router-0", UID: "7"}
	e := newEvents(pod, func(context.Context) record.EventSink { return s })
	log = slog.New(e.Handler(slog.NewTextHandler(io.Discard, nil))) //nolint:sloglint // slog's own takes no lines at all
	return log, func() { _ = e.Close(); synctest.Wait() }
}

func TestEvents_areLinesOfTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s shelf
		log, end := recording(&s)
		defer end()
		log.Warn("nothing to see")
		log.With("pool", "llm").WithGroup("g").Warn("members were not found", "event", "DiscoveryForbidden", "error", errors.New("no right"))
		log.Info("members are found again", "event", "DiscoveryRecovered")
		log.Error(strings.Repeat("é", mostText), "event", "Long") //nolint:sloglint // as long as no literal
		synctest.Wait()
		var got []string
		for _, e := range s.events {
			got = append(got, fmt.Sprintf("%s %s %s/%s %s: %s", e.Type, e.Reason, e.InvolvedObject.Namespace, e.InvolvedObject.Name, e.InvolvedObject.UID, e.Message))
		}
		want := []string{
			"Warning DiscoveryForbidden rag/router-0 7: members were not found pool=llm error=no right",
			"Normal DiscoveryRecovered rag/router-0 7: members are found again",
			"Warning Long rag/router-0 7: " + strings.Repeat("é", mostText/2),
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q", got)
		}
	})
}

func TestEvents_areFewAndWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shelf{away: 3}
		log, end := recording(&s)
		defer end()
		for range 100 {
			log.Warn("trouble", "event", "DiscoveryTrouble")
		}
		synctest.Wait()
		if _, writes := s.count(); writes > 0 {
			t.Errorf("%d were written while the API server was away", writes)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if events, writes := s.count(); writes != 25 || events != 1 {
			t.Errorf("%d Events in %d writes, want 1 in 25", events, writes)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		log.Warn("trouble", "event", "DiscoveryTrouble")
		synctest.Wait()
		if _, writes := s.count(); writes != 26 {
			t.Errorf("%d writes, want another one after 5 minutes", writes)
		}
	})
}

// A router that may not write Events says so once, and goes on; nothing is tried again.
func TestEvents_withoutTheRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said, own strings.Builder
		var asked atomic.Int64
		c := answering(t, slog.New(slog.NewTextHandler(&said, nil)), func(*http.Request) (int, any) {
			asked.Add(1)
			return http.StatusForbidden, metav1.Status{
				TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure,
				Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: "no right to create events",
			}
		})
		e := c.Events("router-0", "7")
		log := slog.New(e.Handler(slog.NewTextHandler(&own, nil)))
		log.Warn("members were not found", "event", "DiscoveryTrouble")
		log.Warn("it tells nothing", "event", "RouterSilent")
		log.Info("members are found again", "event", "DiscoveryRecovered")
		time.Sleep(10 * time.Minute)
		_ = e.Close()
		synctest.Wait()
		if n := asked.Load(); n != 3 {
			t.Errorf("3 Events were tried %d times", n)
		}
		if strings.Count(own.String(), "\n") != 3 {
			t.Errorf("the log of the router: %s", own.String())
		}
		if strings.Count(said.String(), "\n") != 1 || !strings.Contains(said.String(), "Events are not written") || !strings.Contains(said.String(), "no right to create events") {
			t.Errorf("what it says of Events: %s", said.String())
		}
	})
}

// lines are those of a log.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

// TestEvents_onARealAPIServer writes one, and may not write another.
func TestEvents_onARealAPIServer(t *testing.T) {
	c, name := onReal(t)
	e := c.Events(name, "7")
	defer e.Close()                                                  //nolint:errcheck // it returns nil
	log := slog.New(e.Handler(slog.NewTextHandler(io.Discard, nil))) //nolint:sloglint // as above
	log.Warn("members were not found", "event", "DiscoveryTrouble")
	for {
		list, err := c.core.Events("default").List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.uid=7,involvedObject.name=" + name})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Items) > 0 {
			if got := list.Items[0]; got.Reason != "DiscoveryTrouble" || got.Type != "Warning" || got.Message != "members were not found" {
				t.Errorf("%+v", got)
			}
			break
		}
		if !wait(t.Context(), 50*time.Millisecond) {
			t.Fatal("no Event")
		}
	}
	said := make(lines, 8)
	nobody, err := Open(Config{Kubeconfig: os.Getenv("LANEWISE_TEST_KUBERNETES"), Context: "nobody", Namespace: "default", Log: slog.New(slog.NewTextHandler(said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close() //nolint:errcheck // it returns nil
	other := nobody.Events(name, "8")
	defer other.Close()                                                                                  //nolint:errcheck // it returns nil
	slog.New(other.Handler(slog.NewTextHandler(io.Discard, nil))).Warn("x", "event", "DiscoveryTrouble") //nolint:sloglint // as above
	if line := <-said; !strings.Contains(line, "Events are not written") || !strings.Contains(line, `cannot create resource \"events\"`) {
		t.Error(line)
	}
}
