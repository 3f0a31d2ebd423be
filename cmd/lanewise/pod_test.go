package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/lanewise/lanewise/config"
)

// kubelet does to processes what Kubernetes does to the pods of deploy/kubernetes/base/router.yaml. How
// long it waits is read there. second is how long a second of its own waits takes, those between probes and before the
// end; what a process must not overrun is never shortened.
type kubelet struct {
	t         *testing.T
	program   string
	second    time.Duration
	grace     time.Duration
	container corev1.Container
	times     config.Timeouts
	service   *service
	probes    sync.WaitGroup
}

// newKubelet reads the manifests. LANEWISE_POD names a program to run instead of this one; then seconds are whole.
func newKubelet(t *testing.T) *kubelet {
	t.Helper()
	t.Setenv("LANEWISE_OTHERS_KEY", "0123456789abcdef")
	const base = "../../deploy/kubernetes/base/"
	c, err := config.Load(base + "router-config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(base + "router.yaml")
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := bytes.Cut(text, []byte("\n---\n"))
	var workload struct {
		Spec struct{ Template corev1.PodTemplateSpec }
	}
	if err := yaml.Unmarshal(first, &workload); err != nil {
		t.Fatal(err)
	}
	spec := workload.Spec.Template.Spec
	k := &kubelet{
		t: t, program: os.Args[0], second: time.Second / 20, grace: time.Duration(*spec.TerminationGracePeriodSeconds) * time.Second,
		container: spec.Containers[0], times: c.Resolved().Timeouts, service: &service{onTheWay: map[*pod]int{}},
	}
	if program := os.Getenv("LANEWISE_POD"); program != "" {
		k.program, k.second = program, time.Second
	}
	return k
}

// pod is a process that kubelet started.
type pod struct {
	url     string
	process *exec.Cmd
	out     *bufio.Reader
	retired context.CancelFunc // ends the liveness probe, as the deletion of a pod does
}

// start runs a process and probes it. It returns when the startup probe has succeeded.
func (k *kubelet) start(engine string) *pod {
	k.t.Helper()
	dir := k.t.TempDir()
	file := filepath.Join(dir, "lanewise.yaml")
	text := fmt.Sprintf(`
listen: 127.0.0.1:0
open: true
log: {level: error}
shards: [{name: s0, replicas: [{path: s0}]}]
llm: {upstreams: [{name: engine, kind: openai, url: %q, model: m, slots: 64}]}
timeouts: {search: 60s, notice: %v, shutdown: %v}
`, engine, k.times.Notice, k.times.Shutdown)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
	p := &pod{}
	p.process, p.out = programOf(k.t, k.program, "serve", "--config", file)
	p.url = address(k.t, p.out)
	alive, retired := context.WithCancel(k.t.Context())
	p.retired = retired
	k.t.Cleanup(func() {
		k.probes.Wait()
		if p.process.ProcessState == nil {
			_ = p.process.Process.Kill()
			_ = p.process.Wait()
		}
	})
	k.probe(alive, p, k.container.StartupProbe, func(ok bool, failing time.Duration) bool {
		if failing > budget(k.container.StartupProbe) {
			k.t.Fatalf("%s has not started after %v", p.url, failing)
		}
		return !ok
	})
	knows := world{env: map[string]string{"LANEWISE_URL": p.url}, in: `{"id": "a", "text": "one road"}`}
	knows.run(k.t, "ingest", "--collection", "roads", "-").want(k.t, exitOK, "1 document ")
	k.probes.Go(func() { k.watchLife(alive, p) })
	k.probes.Go(func() { k.watchReadiness(alive, p) })
	return p
}

func (k *kubelet) watchLife(ctx context.Context, p *pod) {
	k.probe(ctx, p, k.container.LivenessProbe, func(_ bool, failing time.Duration) bool {
		if failing > budget(k.container.LivenessProbe) {
			k.t.Errorf("%s is killed: it has not been alive for %v", p.url, failing)
		}
		return true
	})
}

// watchReadiness has a pod in the service for as long as it is ready.
func (k *kubelet) watchReadiness(ctx context.Context, p *pod) {
	failures := int32(0)
	k.probe(ctx, p, k.container.ReadinessProbe, func(ok bool, _ time.Duration) bool {
		if failures++; ok {
			failures = 0
			k.service.add(p)
		} else if failures >= k.container.ReadinessProbe.FailureThreshold {
			k.service.drop(p)
		}
		return true
	})
}

// budget is for how long a probe may fail until that has consequences.
func budget(p *corev1.Probe) time.Duration {
	return time.Duration(p.PeriodSeconds*p.FailureThreshold) * time.Second
}

// probe asks until ctx ends or tell does not want more. It tells whether the answer was good, or else for how long none
// has been.
func (k *kubelet) probe(ctx context.Context, p *pod, probe *corev1.Probe, tell func(ok bool, failing time.Duration) bool) {
	period := time.NewTicker(time.Duration(probe.PeriodSeconds) * k.second)
	defer period.Stop()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Duration(max(probe.TimeoutSeconds, 1)) * time.Second}
	if k.second < time.Second {
		client.Timeout = 10 * time.Second // the machine may be busy with other tests
	}
	for good := time.Now(); ; {
		ok := answers(ctx, client, p.url+probe.HTTPGet.Path)
		if ok {
			good = time.Now()
		}
		if ctx.Err() != nil || !tell(ok, time.Since(good)) {
			return
		}
		select {
		case <-period.C:
		case <-ctx.Done():
		}
	}
}

func answers(ctx context.Context, client *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	return res.Body.Close() == nil && res.StatusCode == http.StatusOK
}

// remove is what happens to a pod that is deleted: its endpoint is terminating, of which clients hear while the process
// does not know yet, and then it is told to end.
func (k *kubelet) remove(p *pod) {
	before := time.Duration(k.container.Lifecycle.PreStop.Sleep.Seconds) * k.second
	p.retired()
	k.wait(before / 2)
	k.service.drop(p)
	k.wait(before / 2)
	k.until("what was sent before has arrived", func() bool { return k.service.settled(p) }) // however slow this machine is
	k.terminate(p)
}

func (k *kubelet) terminate(p *pod) {
	if err := p.process.Process.Signal(syscall.SIGTERM); err != nil {
		k.t.Error(err)
	}
}

// ended waits for the process, kills it when the rest of its grace is over, and looks at its exit code.
func (k *kubelet) ended(p *pod) {
	rest := k.grace - time.Duration(k.container.Lifecycle.PreStop.Sleep.Seconds)*time.Second
	kill := time.AfterFunc(rest, func() {
		k.t.Errorf("%s is killed after %v", p.url, rest)
		_ = p.process.Process.Kill()
	})
	defer kill.Stop()
	_, _ = io.Copy(io.Discard, p.out)
	if err := p.process.Wait(); err != nil {
		k.t.Errorf("%s: %v, want exit code 0", p.url, err)
	}
	p.retired()
}

func (k *kubelet) wait(d time.Duration) {
	select {
	case <-time.After(d):
	case <-k.t.Context().Done():
	}
}

// TestPod_endsWithoutALoss: of three pods under load one comes later, as in a rollout, one is deleted, and one is told
// to end without notice to anybody, so that its probe takes it out of the service. Nothing is lost, and long answers
// end though their pods take no requests any more.
func TestPod_endsWithoutALoss(t *testing.T) {
	k := newKubelet(t)
	release := make(chan struct{})
	engine := roadEngine(t, release)
	deleted, told := k.start(engine), k.start(engine)
	load := &asking{service: k.service, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	defer load.client.CloseIdleConnections()
	ctx, stop := context.WithCancel(t.Context())
	var clients, answers, begun sync.WaitGroup
	for range 4 {
		clients.Go(func() { load.run(ctx) })
	}
	k.start(engine)
	for _, p := range []*pod{deleted, told, deleted, told} {
		begun.Add(1)
		once := sync.OnceFunc(begun.Done)
		answers.Go(func() { load.count(load.ask(p.url, long, once)); once() })
	}
	begun.Wait()
	k.terminate(told)
	k.remove(deleted)
	for _, p := range []*pod{deleted, told} {
		k.until("the process takes no connections", func() bool { return refuses(p.url) })
	}
	if k.second == time.Second {
		k.wait(k.times.Shutdown * 6 / 10)
	}
	close(release)
	k.ended(deleted)
	k.ended(told)
	stop()
	clients.Wait()
	answers.Wait()
	t.Logf("%d answers, %d lost", load.got.Load(), load.lost.Load())
	if load.lost.Load() > 0 || load.got.Load() == 0 {
		t.Errorf("%d requests were lost, the first with: %v", load.lost.Load(), load.first.Load())
	}
}

// refuses reports whether nobody listens.
func refuses(url string) bool {
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://")) //nolint:noctx // it is at once
	if err != nil {
		return true
	}
	_ = c.Close()
	return false
}

func (k *kubelet) until(what string, done func() bool) {
	k.t.Helper()
	for !done() {
		if k.t.Context().Err() != nil {
			k.t.Fatalf("not before the end: %s", what)
		}
		k.wait(10 * time.Millisecond)
	}
}
