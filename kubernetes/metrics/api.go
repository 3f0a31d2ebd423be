package metrics

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	api "k8s.io/metrics/pkg/apis/external_metrics/v1beta1"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/kubernetes/scaling"
)

// Config describes the API.
type Config struct {
	// Figures returns what is known of every pool. It must be safe for concurrent use.
	Figures func() []scaling.Figure
	// Namespaces in which the metrics are. Default: every one, alike.
	Namespaces []string
	// Proxy says whom to believe. It is asked for each request. Required.
	Proxy func() Proxy
	// Readings are this router's own, and Key is what other routers show as a bearer
	// token to get them. Without a key nobody gets them.
	Readings func() Told
	Key      string
	Log      *slog.Logger // nil: none
}

const (
	group   = api.GroupName
	version = "v1beta1"
	root    = "/apis/" + group + "/" + version
)

// readingsPath is where routers ask each other.
const readingsPath = "/lanewise/v1/readings"

type server struct {
	Config
	metrics map[string]metric

	mu   sync.Mutex
	told map[string]time.Time // when a refusal was logged last, by its text
}

// An autoscaler asks every few seconds: what is refused for the same reason is logged
// again after a while, and of many reasons some.
const (
	tellAgain = 10 * time.Minute
	mostTold  = 256
)

// news reports whether a refusal is to be logged.
func (s *server) news(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if last, ok := s.told[text]; ok && now.Sub(last) < tellAgain {
		return false
	}
	if s.told == nil || len(s.told) >= mostTold {
		s.told = map[string]time.Time{}
	}
	s.told[text] = now
	return true
}

// New returns a handler of the API. It is to be served over TLS that asks clients for
// certificates without verifying them ([tls.RequestClientCert]): the handler does, so
// that who is refused learns why. Safe for concurrent use.
func New(c Config) (http.Handler, error) {
	if c.Figures == nil || c.Proxy == nil {
		return nil, fault.New(fault.Invalid, "metrics: figures and proxy are needed")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &server{Config: c, metrics: metrics()}
	mux := http.NewServeMux()
	for _, path := range []string{"/healthz", "/livez", "/readyz"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	}
	mux.HandleFunc("GET "+readingsPath, s.readings)
	mux.Handle("GET /apis", s.guard(document(groups())))
	mux.Handle("GET /apis/"+group, s.guard(document(ownGroup())))
	mux.Handle("GET "+root, s.guard(document(s.resources())))
	mux.Handle("GET /openapi/v2", s.guard(document(map[string]any{
		"swagger": "2.0", "info": map[string]string{"title": "lanewise", "version": version}, "paths": map[string]any{},
	})))
	mux.Handle("GET /openapi/v3", s.guard(document(map[string]any{"paths": map[string]any{}})))
	mux.Handle("GET "+root+"/namespaces/{namespace}/{metric}", s.guard(s.values))
	mux.Handle("/", s.guard(func(_ http.ResponseWriter, r *http.Request) error {
		return fault.New(fault.NotFound, "there is no %s here", r.URL.Path)
	}))
	return mux, nil
}

// guard lets only the API server in, and answers errors as it does.
func (s *server) guard(next func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, err := s.Proxy().user(r)
		if err == nil {
			err = next(w, r)
		}
		if err == nil {
			return
		}
		if s.news(err.Error()) {
			s.Log.WarnContext(r.Context(), "external metrics: refused", "event", "ExternalMetricRefused", "path", r.URL.Path, "user", user, "from", r.RemoteAddr, "err", err)
		}
		refuse(w, err)
	})
}

// statuses are the errors of this API, first match.
var statuses = []struct {
	class  error
	code   int
	reason metav1.StatusReason
}{
	{fault.Unauthorized, http.StatusUnauthorized, metav1.StatusReasonUnauthorized},
	{fault.Forbidden, http.StatusForbidden, metav1.StatusReasonForbidden},
	{fault.NotFound, http.StatusNotFound, metav1.StatusReasonNotFound},
	{fault.Invalid, http.StatusBadRequest, metav1.StatusReasonBadRequest},
	{fault.Unavailable, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable},
}

func refuse(w http.ResponseWriter, err error) {
	out := metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Message: err.Error(),
		Code: http.StatusInternalServerError, Reason: metav1.StatusReasonInternalError,
	}
	for _, s := range statuses {
		if errors.Is(err, s.class) {
			out.Code, out.Reason = int32(s.code), s.reason //nolint:gosec // three digits
			break
		}
	}
	write(w, int(out.Code), out)
}

func write(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // a client that is gone needs no answer
}

// document serves something that does not change.
func document(body any) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, _ *http.Request) error {
		write(w, http.StatusOK, body)
		return nil
	}
}

// values answers the autoscaler.
func (s *server) values(w http.ResponseWriter, r *http.Request) error {
	name, namespace := r.PathValue("metric"), r.PathValue("namespace")
	m, ok := s.metrics[name]
	if !ok {
		return fault.New(fault.NotFound, "there is no metric %q; GET %s lists them", name, root)
	}
	if len(s.Namespaces) > 0 && !slices.Contains(s.Namespaces, namespace) {
		return fault.New(fault.NotFound, "there are no metrics in namespace %q", namespace)
	}
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		return fault.Wrap(fault.Invalid, "labelSelector", err)
	}
	write(w, http.StatusOK, api.ExternalMetricValueList{
		TypeMeta: metav1.TypeMeta{Kind: listKind, APIVersion: group + "/" + version},
		Items:    m.items(name, s.Figures(), selector),
	})
	return nil
}

func groups() metav1.APIGroupList {
	return metav1.APIGroupList{
		TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"},
		Groups:   []metav1.APIGroup{ownGroup()},
	}
}

func ownGroup() metav1.APIGroup {
	v := metav1.GroupVersionForDiscovery{GroupVersion: group + "/" + version, Version: version}
	return metav1.APIGroup{
		TypeMeta: metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"},
		Name:     group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v,
	}
}

func (s *server) resources() metav1.APIResourceList {
	out := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: group + "/" + version}
	for name := range s.metrics {
		out.APIResources = append(out.APIResources, metav1.APIResource{Name: name, Namespaced: true, Kind: listKind, Verbs: metav1.Verbs{"get"}})
	}
	slices.SortFunc(out.APIResources, func(a, b metav1.APIResource) int { return strings.Compare(a.Name, b.Name) })
	return out
}
