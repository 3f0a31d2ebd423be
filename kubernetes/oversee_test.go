package kubernetes

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/lanewise/lanewise/fault"
)

// overseen is how a watch ends with which something happens.
func overseen(t *testing.T, happens func(w *watch.RaceFreeFakeWatcher, cancel func())) (stood, events int, took time.Duration, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := watch.NewRaceFreeFake()
		began := time.Now()
		go happens(w, cancel)
		err = oversee(ctx, w, func() { stood++ }, func(watch.Event) { events++ })
		took = time.Since(began)
	})
	return stood, events, took, err
}

func TestOversee(t *testing.T) {
	gone := apierrors.NewResourceExpired("too old").Status()
	internal := apierrors.NewInternalError(errors.New("no etcd")).Status()
	forbidden := metav1.Status{Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden}
	for name, c := range map[string]struct {
		happens       func(w *watch.RaceFreeFakeWatcher, cancel func())
		stood, events int
		took          time.Duration
		want          error
	}{
		"no connection": {func(w *watch.RaceFreeFakeWatcher, _ func()) { w.Stop() }, 0, 0, 0, fault.Unavailable},
		"cut": {func(w *watch.RaceFreeFakeWatcher, _ func()) {
			w.Add(&corev1.ConfigMap{})
			time.Sleep(time.Minute)
			w.Stop()
		}, 1, 1, time.Minute, fault.Unavailable},
		"cut, told nothing": {func(w *watch.RaceFreeFakeWatcher, _ func()) { time.Sleep(time.Minute); w.Stop() }, 1, 0, time.Minute, fault.Unavailable},
		"ends as asked":     {func(w *watch.RaceFreeFakeWatcher, _ func()) { time.Sleep(watchFor - time.Second); w.Stop() }, 1, 0, watchFor - time.Second, nil},
		"carries nothing":   {func(*watch.RaceFreeFakeWatcher, func()) {}, 1, 0, watchFor + watchGrace, fault.Unavailable},
		"missed too much":   {func(w *watch.RaceFreeFakeWatcher, _ func()) { w.Error(&gone); time.Sleep(watchFor); w.Stop() }, 1, 1, watchFor, nil},
		"server's trouble":  {func(w *watch.RaceFreeFakeWatcher, _ func()) { w.Error(&internal) }, 0, 0, 0, fault.Unavailable},
		"right taken away":  {func(w *watch.RaceFreeFakeWatcher, _ func()) { w.Error(&forbidden) }, 0, 0, 0, fault.Refused},
		"given up":          {func(w *watch.RaceFreeFakeWatcher, cancel func()) { time.Sleep(time.Millisecond); cancel() }, 0, 0, time.Millisecond, context.Canceled},
		// The end of its context breaks the stream.
		"given up, told by the stream": {func(w *watch.RaceFreeFakeWatcher, cancel func()) { cancel(); w.Error(&internal) }, 0, 0, 0, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			stood, events, took, err := overseen(t, c.happens)
			if !errors.Is(err, c.want) || stood != c.stood || events != c.events || took != c.took {
				t.Errorf("stood %d times, %d events, %v after %v; want %d, %d, %v after %v", stood, events, err, took, c.stood, c.events, c.want, c.took)
			}
		})
	}
}
