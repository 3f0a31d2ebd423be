package kubernetes

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/lanewise/lanewise/fault"
)

// How long the API server is asked to keep a watch, how much earlier or later it may end it,
// and from when on a watch stands that has told nothing yet.
const (
	watchFor    = 2 * time.Minute
	watchGrace  = 15 * time.Second
	watchStands = time.Second
)

// lasting has a watch end by itself. Whether it is told bookmarks is the caller's choice: with them a watch from no
// version is a list, which an API server with an older etcd refuses.
func lasting(o metav1.ListOptions) metav1.ListOptions {
	o.TimeoutSeconds = new(int64(watchFor.Seconds()))
	return o
}

// oversee hands on what a watch tells until it ends as it was asked to, which is no error. client-go ends a watch without a
// word where its stream is cut, hands out one that has ended where there was no connection, and
// waits for ever on one that carries nothing any more: all of this is fault.Unavailable here. stands is called once
// the watch has shown that it is one.
func oversee(ctx context.Context, w watch.Interface, stands func(), each func(watch.Event)) error {
	defer w.Stop()
	began, standing := time.Now(), time.NewTimer(watchStands)
	overdue := time.NewTimer(watchFor + watchGrace)
	defer standing.Stop()
	defer overdue.Stop()
	stands = sync.OnceFunc(stands)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-standing.C:
			stands()
		case <-overdue.C:
			return fault.New(fault.Unavailable, "the watch does not end when it should: nothing comes through any more")
		case event, ok := <-w.ResultChan():
			switch {
			case ctx.Err() != nil: // that ends the stream, too
				return ctx.Err()
			case !ok && time.Since(began) < watchFor-watchGrace:
				return fault.New(fault.Unavailable, "the watch was cut")
			case !ok:
				return nil
			}
			if err := toldError(event); err != nil {
				return err
			}
			stands()
			each(event)
		}
	}
}

// toldError is the error that a watch tells. That it has missed too much is for whoever watches.
func toldError(event watch.Event) error {
	if event.Type != watch.Error {
		return nil
	}
	err := apierrors.FromObject(event.Object)
	if apierrors.IsGone(err) || apierrors.IsResourceExpired(err) {
		return nil
	}
	return classify("the watch has broken", err)
}

// relay is a watch of an informer that is overseen.
type relay struct {
	out  chan watch.Event
	stop context.CancelFunc
}

// ResultChan implements watch.Interface.
func (r *relay) ResultChan() <-chan watch.Event { return r.out }

// Stop implements watch.Interface.
func (r *relay) Stop() { r.stop() }

// run hands on what the watch tells. Where it breaks, broke hears why, and the informer that it has missed too much: then it lists.
func (r *relay) run(ctx context.Context, w watch.Interface, stands func(), broke func(error)) {
	defer close(r.out)
	send := func(event watch.Event) {
		select {
		case r.out <- event:
		case <-ctx.Done():
		}
	}
	err := oversee(ctx, w, stands, send)
	if err == nil || ctx.Err() != nil {
		return
	}
	broke(err)
	missed := apierrors.NewResourceExpired(err.Error()).Status()
	send(watch.Event{Type: watch.Error, Object: &missed})
}
