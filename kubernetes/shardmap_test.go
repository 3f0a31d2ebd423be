package kubernetes

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/lanewise/lanewise/fault"
)

// A lease counts from when it was last seen renewed, whatever its holder's clock says.
func TestMap_clocksThatDiffer(t *testing.T) {
	for _, skew := range []time.Duration{-59 * time.Minute, -time.Minute, 0, time.Minute, 24 * time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := (&Cluster{}).Map("rag", "shards", 10*time.Second)
				renewals := 0
				seen := func(renewed bool) *coordinationv1.Lease {
					if renewed {
						renewals++
					}
					l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: fmt.Sprint(renewals)}}
					l.Spec.RenewTime = &metav1.MicroTime{Time: time.Now().Add(skew)}
					return l
				}
				for range 10 {
					if !m.alive(seen(true)) {
						t.Fatal("a lease that is renewed has ended")
					}
					time.Sleep(5 * time.Second)
				}
				last := seen(false)
				time.Sleep(5*time.Second - 1)
				if !m.alive(last) {
					t.Error("it has ended too early")
				}
				time.Sleep(time.Nanosecond)
				if m.alive(last) {
					t.Error("it goes on though nobody renews it")
				}
				if !m.alive(seen(true)) {
					t.Error("a router that comes back is not alive")
				}
			})
		})
	}
}

// One that nobody has seen renewed, and that ended long ago by its holder's clock, is of a router from before.
func TestMap_leasesFromLongAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := (&Cluster{}).Map("rag", "shards", 10*time.Second)
		old := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: "1"}}
		old.Spec.RenewTime = &metav1.MicroTime{Time: time.Now().Add(-2 * time.Hour)}
		if m.alive(old) {
			t.Error("it is alive at first sight")
		}
		without := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "b", ResourceVersion: "1"}}
		if !m.alive(without) {
			t.Error("one that tells no time is not given one lease")
		}
		time.Sleep(10 * time.Second)
		if m.alive(without) {
			t.Error("and then it goes on for ever")
		}
	})
}

// An API server with an older etcd takes a watch from no version, which may tell bookmarks, for a list, and refuses it.
func TestMap_watchesBesideAnOlderEtcd(t *testing.T) {
	c := answering(t, slog.New(slog.DiscardHandler), func(r *http.Request) (int, any) {
		if q := r.URL.Query(); q.Get("allowWatchBookmarks") != "" && q.Get("resourceVersion") == "" {
			return http.StatusOK, event("ERROR", metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: http.StatusInternalServerError})
		}
		return http.StatusOK, event("ADDED", corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}})
	})
	changed := 0
	if err := c.Map("", "shards", 0).Watch(t.Context(), func() { changed++ }); !errors.Is(err, fault.Unavailable) || changed == 0 {
		t.Errorf("%d changes, %v", changed, err)
	}
}

// event is one of a watch, which is cut after it.
func event(kind string, object any) metav1.WatchEvent {
	raw, err := json.Marshal(object)
	if err != nil {
		panic(err) // it is the API's own
	}
	return metav1.WatchEvent{Type: kind, Object: runtime.RawExtension{Raw: raw}}
}

func TestMapName(t *testing.T) {
	for text, want := range map[string]string{"rag/shards": "rag shards", "/shards.prod": " shards.prod"} {
		if namespace, name, err := MapName(text); err != nil || namespace+" "+name != want {
			t.Errorf("%s: %q, %q, %v", text, namespace, name, err)
		}
	}
	for _, text := range []string{"", "shards", "rag/", "rag/a/b", "Rag/shards", "rag/-"} {
		if _, _, err := MapName(text); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
