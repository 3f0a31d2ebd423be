package kubernetes

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/lanewise/lanewise/fault"
)

// onReal opens the control plane of the environment, with a name that no other test has.
func onReal(t *testing.T) (c *Cluster, name string) {
	t.Helper()
	file := os.Getenv("LANEWISE_TEST_KUBERNETES")
	if file == "" {
		t.Skip("LANEWISE_TEST_KUBERNETES is not set: start a control plane with scripts/servers/kubernetes up")
	}
	c, err := Open(Config{Kubeconfig: file, Namespace: "default"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, strings.ToLower("test" + rand.Text())
}

// elect returns once a router leads by client-go's election, and a function that stops it as a
// process is stopped: it renews no more, and gives nothing back.
func elect(t *testing.T, c *Cluster, name, router string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	leads, ended := make(chan struct{}), make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: name}, Client: c.coordination, LockConfig: resourcelock.ResourceLockConfig{Identity: router},
		},
		LeaseDuration: 2 * time.Second, RenewDeadline: time.Second, RetryPeriod: 250 * time.Millisecond,
		Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { close(leads) }, OnStoppedLeading: func() {}},
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() { elector.Run(ctx); close(ended) }()
	stop = func() { cancel(); <-ended }
	select {
	case <-leads:
	case <-ended:
		t.Fatalf("%s does not lead", router)
	}
	return stop
}

// TestMap_whatLeaderElectionLetsThrough: a router that was elected, and stopped for longer than its lease, writes the map
// though another one leads by now. Where its successor has taken the claim in the map it does not (docs/adr/0023).
func TestMap_whatLeaderElectionLetsThrough(t *testing.T) {
	for _, claims := range []bool{false, true} {
		c, name := onReal(t)
		m := c.Map("", name, 0)
		if _, err := m.Save(t.Context(), []byte("first"), ""); err != nil {
			t.Fatal(err)
		}
		stop := elect(t, c, name, "old")
		_, revision, err := m.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stop()
		defer elect(t, c, name, "new")()
		if claims {
			if _, err := m.Save(t.Context(), []byte("claimed by new"), revision); err != nil {
				t.Fatal(err)
			}
		}
		_, err = m.Save(t.Context(), []byte("flipped by old"), revision) // it goes on
		if claims != errors.Is(err, fault.Conflict) || !claims && err != nil {
			t.Errorf("with a claim %v: %v", claims, err)
		}
	}
}
