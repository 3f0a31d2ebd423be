package kubernetes

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/discovery"
	"github.com/lanewise/lanewise/fault"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// client-go keeps this one for as long as the process lives.
		goleak.IgnoreTopFunction("k8s.io/klog/v2.(*flushDaemon).run.func1"))
}

// answer is one that a source has told.
type answer struct {
	names []string
	err   error
}

// watched runs a source until the test ends.
func watched(t *testing.T, s discovery.Source) <-chan answer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	answers, ended := make(chan answer, 64), make(chan struct{})
	go func() {
		defer close(ended)
		s.Watch(ctx, func(members []discovery.Member, err error) {
			a := answer{err: err}
			for _, m := range members {
				a.names = append(a.names, m.Name+string(m.State))
			}
			answers <- a
		})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return answers
}

// until reads answers up to one that is as wanted.
func until(t *testing.T, answers <-chan answer, what string, want func(answer) bool) {
	t.Helper()
	for {
		select {
		case a := <-answers:
			if want(a) {
				return
			}
			t.Logf("before %s: %v, %v", what, a.names, a.err)
		case <-t.Context().Done():
			t.Fatalf("no answer with %s", what)
		}
	}
}

func are(names ...string) func(answer) bool {
	return func(a answer) bool { return a.err == nil && slices.Equal(a.names, names) }
}

func TestEndpoints_watch(t *testing.T) {
	s, c := newAPIServer(t)
	s.put(slice("s1", http8000, pod("a", "10.0.0.1", "rs"), pod("b", "10.0.0.2", "-")))
	answers := watched(t, c.Endpoints("", "chat", "http"))
	until(t, answers, "a", are("a"))
	s.put(slice("s2", http8000, pod("c", "10.0.0.3", "rs")))
	until(t, answers, "c", are("a", "c"))
	s.put(slice("s1", http8000, pod("a", "10.0.0.1", "st"), pod("b", "10.0.0.2", "rs")))
	until(t, answers, "a going", are("aserving", "b", "c"))
	s.drop("s2")
	s.drop("s1")
	until(t, answers, "nobody", are())
}

func TestEndpoints_apiServerAway(t *testing.T) {
	s, c := newAPIServer(t)
	s.put(slice("s1", http8000, pod("a", "10.0.0.1", "rs")))
	answers := watched(t, c.Endpoints("", "chat", "http"))
	until(t, answers, "a", are("a"))
	s.fail(http.StatusServiceUnavailable)
	until(t, answers, "trouble", func(a answer) bool { return errors.Is(a.err, fault.Unavailable) })
	s.fail(0)
	until(t, answers, "a again, though nothing has changed", are("a"))
}

// A proxy that accepts connections and reaches nobody.
func TestEndpoints_connectionsThatAreClosedAtOnce(t *testing.T) {
	s, c := newAPIServer(t)
	s.put(slice("s1", http8000, pod("a", "10.0.0.1", "rs")))
	answers := watched(t, c.Endpoints("", "chat", "http"))
	until(t, answers, "a", are("a"))
	s.fail(deaf)
	until(t, answers, "trouble", func(a answer) bool { return errors.Is(a.err, fault.Unavailable) })
	s.fail(0)
	until(t, answers, "a again, though nothing has changed", are("a"))
}

func TestEndpoints_aWatchThatIsCut(t *testing.T) {
	s, c := newAPIServer(t)
	s.put(slice("s1", http8000, pod("a", "10.0.0.1", "rs")))
	answers := watched(t, c.Endpoints("", "chat", "http"))
	until(t, answers, "a", are("a"))
	listed := s.listed()
	s.cut()
	until(t, answers, "trouble", func(a answer) bool { return errors.Is(a.err, fault.Unavailable) })
	until(t, answers, "a again", are("a"))
	if s.listed() == listed {
		t.Error("it was not listed again")
	}
}

func TestEndpoints_aWatchThatHasMissedTooMuch(t *testing.T) {
	s, c := newAPIServer(t)
	s.put(slice("s1", http8000, pod("a", "10.0.0.1", "rs")))
	answers := watched(t, c.Endpoints("", "chat", "http"))
	until(t, answers, "a", are("a"))
	s.fail(http.StatusServiceUnavailable)
	s.put(slice("s2", http8000, pod("b", "10.0.0.2", "rs")))
	s.put(slice("s3", http8000, pod("c", "10.0.0.3", "rs")))
	s.compact()
	s.fail(0)
	until(t, answers, "what was missed", are("a", "b", "c"))
}

func TestEndpoints_withoutTheRight(t *testing.T) {
	s, c := newAPIServer(t)
	s.fail(http.StatusForbidden)
	answers := watched(t, c.Endpoints("", "chat", "http"))
	until(t, answers, "a refusal", func(a answer) bool { return errors.Is(a.err, fault.Refused) })
	s.put(slice("s1", http8000, pod("a", "10.0.0.1", "rs")))
	s.fail(0)
	until(t, answers, "a", are("a"))
}

func TestOpen_refuses(t *testing.T) {
	for _, c := range []Config{{}, {Kubeconfig: "nowhere"}} {
		if _, err := Open(c); !errors.Is(err, fault.Invalid) {
			t.Errorf("Open(%+v): %v", c, err)
		}
	}
}
