package kubernetes

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	core "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/lanewise/lanewise/fault"
)

// Events are what `kubectl describe pod` shows of a router: lines of its log that have the attribute "event",
// whose value is the Event's reason. From slog.LevelWarn on they are warnings.
//
// client-go's recorder counts what repeats, and writes 25 at once and then one in five minutes at most; while
// the API server is away it tries for two minutes. Nothing waits for it. Safe for concurrent use.
type Events struct {
	pod      *corev1.ObjectReference
	recorder record.EventRecorder
	end      func()
}

// eventKey is the attribute that makes a line of the log an Event.
const eventKey = "event"

// Events of a pod of the cluster's namespace. Without its uid `kubectl describe` does not find them. Close ends it.
func (c *Cluster) Events(pod, uid string) *Events {
	return newEvents(&corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: c.namespace, Name: pod, UID: types.UID(uid)},
		func(ctx context.Context) record.EventSink { return &sink{ctx: ctx, cluster: c} })
}

func newEvents(pod *corev1.ObjectReference, to func(context.Context) record.EventSink) *Events {
	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), logr.Discard()))
	b := record.NewBroadcaster(record.WithContext(ctx))
	b.StartRecordingToSink(to(ctx))
	source := corev1.EventSource{Component: "lanewise", Host: pod.Name}
	return &Events{pod: pod, recorder: b.NewRecorder(nil, source).WithLogger(logr.Discard()), end: func() { cancel(); b.Shutdown() }}
}

// Close gives up what is not written yet, and returns nil.
func (e *Events) Close() error {
	e.end()
	return nil
}

// Handler returns a handler that passes everything on to next, and records what is an Event.
func (e *Events) Handler(next slog.Handler) slog.Handler {
	return &eventHandler{Handler: next, events: e}
}

type eventHandler struct {
	slog.Handler
	events *Events
	attrs  []slog.Attr
}

// WithAttrs implements slog.Handler.
func (h *eventHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &eventHandler{Handler: h.Handler.WithAttrs(attrs), events: h.events, attrs: slices.Concat(h.attrs, attrs)}
}

// WithGroup implements slog.Handler. Events have no groups.
func (h *eventHandler) WithGroup(name string) slog.Handler {
	return &eventHandler{Handler: h.Handler.WithGroup(name), events: h.events, attrs: h.attrs}
}

// mostText is how much the API server takes of a message, in bytes.
const mostText = 1024

// Handle implements slog.Handler.
func (h *eventHandler) Handle(ctx context.Context, r slog.Record) error { //nolint:gocritic // the interface says so
	reason, text := "", strings.Builder{}
	text.WriteString(r.Message)
	add := func(a slog.Attr) bool {
		if a.Key == eventKey {
			reason = a.Value.String()
			return true
		}
		fmt.Fprintf(&text, " %s=%v", a.Key, a.Value)
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	if r.Attrs(add); reason != "" {
		kind := corev1.EventTypeNormal
		if r.Level >= slog.LevelWarn {
			kind = corev1.EventTypeWarning
		}
		h.events.recorder.Event(h.events.pod, kind, reason, strings.ToValidUTF8(text.String()[:min(text.Len(), mostText)], ""))
	}
	return h.Handler.Handle(ctx, r)
}

// sink writes Events. It says once that it may not.
type sink struct {
	ctx     context.Context //nolint:containedctx // the recorder has none to give
	cluster *Cluster
	refused sync.Once
}

const eventPatience = 10 * time.Second

func (s *sink) write(event *corev1.Event, do func(context.Context, core.EventInterface) (*corev1.Event, error)) (*corev1.Event, error) {
	ctx, cancel := context.WithTimeout(s.ctx, eventPatience)
	defer cancel()
	written, err := do(ctx, s.cluster.core.Events(cmp.Or(event.Namespace, s.cluster.namespace)))
	if err != nil && fault.Of(classify("", err)) == fault.Refused {
		s.refused.Do(func() {
			s.cluster.log.WarnContext(ctx, "Events are not written: they are in the log only", "err", err)
		})
	}
	return written, err
}

// Create implements record.EventSink.
func (s *sink) Create(event *corev1.Event) (*corev1.Event, error) {
	return s.write(event, func(ctx context.Context, api core.EventInterface) (*corev1.Event, error) {
		return api.Create(ctx, event, metav1.CreateOptions{})
	})
}

// Update implements record.EventSink.
func (s *sink) Update(event *corev1.Event) (*corev1.Event, error) {
	return s.write(event, func(ctx context.Context, api core.EventInterface) (*corev1.Event, error) {
		return api.Update(ctx, event, metav1.UpdateOptions{})
	})
}

// Patch implements record.EventSink.
func (s *sink) Patch(event *corev1.Event, data []byte) (*corev1.Event, error) {
	return s.write(event, func(ctx context.Context, api core.EventInterface) (*corev1.Event, error) {
		return api.Patch(ctx, event.Name, types.StrategicMergePatchType, data, metav1.PatchOptions{})
	})
}
