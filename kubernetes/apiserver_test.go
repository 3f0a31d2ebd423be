package kubernetes

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	slicesv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// apiServer answers lists and watches of EndpointSlices over HTTP as an API server does,
// and fails when it is told to. The proof is on a real one (scripts/full/kubernetes).
type apiServer struct {
	*httptest.Server

	mu      sync.Mutex
	version int
	slices  map[string]*slicesv1.EndpointSlice
	changed chan struct{} // closed by each change
	events  []metav1.WatchEvent
	first   int // version of the first event that is kept
	refuse  int // status; 0: it answers; deaf: it closes every connection, as a proxy does that reaches nobody
	cuts    int // how often the watches that stand were ended
	lists   int
}

func newAPIServer(t *testing.T) (*apiServer, *Cluster) {
	t.Helper()
	s := &apiServer{slices: map[string]*slicesv1.EndpointSlice{}, changed: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /apis/discovery.k8s.io/v1/namespaces/rag/endpointslices", s.serve)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: %q}}]\ncontexts: [{name: c, context: {cluster: c, namespace: rag}}]\ncurrent-context: c\n", s.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Open(Config{Kubeconfig: file})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

// put stores a slice; drop removes one.
func (s *apiServer) put(one *slicesv1.EndpointSlice) { s.change("MODIFIED", one) }
func (s *apiServer) drop(name string)                { s.change("DELETED", slice(name, nil)) }

func (s *apiServer) change(kind string, one *slicesv1.EndpointSlice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	one = one.DeepCopy()
	one.ResourceVersion = strconv.Itoa(s.version)
	one.TypeMeta = metav1.TypeMeta{Kind: "EndpointSlice", APIVersion: "discovery.k8s.io/v1"}
	if kind == "DELETED" {
		delete(s.slices, one.Name)
	} else if s.slices[one.Name] == nil {
		kind = "ADDED"
	}
	if kind != "DELETED" {
		s.slices[one.Name] = one
	}
	raw, err := json.Marshal(one)
	if err != nil {
		panic(err)
	}
	s.events = append(s.events, metav1.WatchEvent{Type: kind})
	s.events[len(s.events)-1].Object.Raw = raw
	s.wake()
}

// fail has it answer everything with a status, watches that stand ended; 0: it answers again.
func (s *apiServer) fail(status int) {
	s.mu.Lock()
	s.refuse = status
	s.wake()
	s.mu.Unlock()
	s.CloseClientConnections()
}

const deaf = -1

// cut ends the watches that stand, without a word.
func (s *apiServer) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cuts++
	s.wake()
}

// listed is how often everything was listed.
func (s *apiServer) listed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lists
}

// compact forgets the events: a watch from before is too old.
func (s *apiServer) compact() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events, s.first = nil, s.version
}

// wake has the watches look. The caller holds the lock.
func (s *apiServer) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *apiServer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	refuse := s.refuse
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	query := r.URL.Query()
	switch {
	case refuse == deaf:
		panic(http.ErrAbortHandler)
	case refuse != 0:
		status(w, refuse, map[int]metav1.StatusReason{http.StatusForbidden: metav1.StatusReasonForbidden}[refuse])
	case query.Get("sendInitialEvents") != "": // as with an older etcd, in the middle of it
		event := metav1.WatchEvent{Type: "ERROR"}
		event.Object.Raw, _ = json.Marshal(metav1.Status{
			TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: "progress of watches is disabled",
		})
		_ = json.NewEncoder(w).Encode(event)
	case query.Get("watch") != "":
		from, _ := strconv.Atoi(query.Get("resourceVersion"))
		s.watch(w, r, from)
	default:
		s.list(w)
	}
}

func status(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: "no",
	})
}

func (s *apiServer) list(w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	out := slicesv1.EndpointSliceList{
		TypeMeta: metav1.TypeMeta{Kind: "EndpointSliceList", APIVersion: "discovery.k8s.io/v1"},
		ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(s.version)}, Items: []slicesv1.EndpointSlice{},
	}
	for _, one := range s.slices {
		out.Items = append(out.Items, *one)
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (s *apiServer) watch(w http.ResponseWriter, r *http.Request, from int) {
	w.(http.Flusher).Flush()
	s.mu.Lock()
	cuts := s.cuts
	s.mu.Unlock()
	for {
		s.mu.Lock()
		changed, over := s.changed, s.refuse != 0 || s.cuts != cuts
		var send []metav1.WatchEvent
		tooOld := from < s.first
		if !tooOld {
			send = s.events[min(from-s.first, len(s.events)):]
		}
		from = s.version
		s.mu.Unlock()
		if over {
			return
		}
		if tooOld {
			gone, _ := json.Marshal(metav1.Status{
				TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: http.StatusGone, Reason: metav1.StatusReasonExpired,
			})
			event := metav1.WatchEvent{Type: "ERROR"}
			event.Object.Raw = gone
			_ = json.NewEncoder(w).Encode(event)
			return
		}
		for _, event := range send {
			_ = json.NewEncoder(w).Encode(event)
		}
		w.(http.Flusher).Flush()
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}
