package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanewise/lanewise/config"
	"github.com/lanewise/lanewise/discovery"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/kubernetes"
)

// applied is the namespace of the manifests, and who the routers are there.
const (
	applied = "lanewise"
	asAdmin = "user: {token: admin}"
	asPod   = `user: {token: admin, as: "system:serviceaccount:lanewise:router"}`
)

// run runs a command, which must succeed, and returns what it prints.
func run(t *testing.T, in, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var trouble strings.Builder
	cmd.Stdin, cmd.Stderr = strings.NewReader(in), &trouble
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, out, trouble.String())
	}
	return string(out)
}

// kubectl is run as the cluster's admin.
func kubectl(t *testing.T, in string, args ...string) string {
	t.Helper()
	return run(t, in, "../../servers/kubernetes", append([]string{"kubectl"}, args...)...)
}

func yamlOf(t *testing.T, folder string) string {
	t.Helper()
	text, err := render(t, folder).AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// define has the API server know the kinds of the extensions, which a cluster gets from their own projects, in the version
// whose types the tests have.
func define(t *testing.T) {
	t.Helper()
	for _, d := range []struct{ types, module, file string }{
		{"sigs.k8s.io/gateway-api", "sigs.k8s.io/gateway-api", "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"},
		{
			"github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring", "github.com/prometheus-operator/prometheus-operator",
			"example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
		},
	} {
		version := strings.TrimSpace(run(t, "", "go", "list", "-m", "-f", "{{.Version}}", d.types))
		var got struct{ Dir string }
		if err := json.Unmarshal([]byte(run(t, "", "go", "mod", "download", "-json", d.module+"@"+version)), &got); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(got.Dir, d.file)
		kubectl(t, "", "apply", "--server-side", "-f", file)
		t.Cleanup(func() { _ = exec.Command("../../servers/kubernetes", "kubectl", "delete", "-f", file).Run() })
		kubectl(t, "", "wait", "--for=condition=Established", "-f", file)
	}
}

// TestManifests_theAPIServerTakesThem has the API server check everything, as if it were applied. What it gets is what the
// other tests of the manifests get, and what kubectl makes of the folders.
func TestManifests_theAPIServerTakesThem(t *testing.T) {
	newTestbed(t)
	define(t)
	kubectl(t, "", "create", "namespace", applied)
	defer kubectl(t, "", "delete", "namespace", applied)
	for _, folder := range folders(t) {
		text := yamlOf(t, folder)
		if other := kubectl(t, "", "kustomize", filepath.Join(manifests, folder)); other != text {
			t.Errorf("%s: kubectl makes something else of it:\n%s", folder, other)
		}
		if out := kubectl(t, text, "apply", "--dry-run=server", "--validate=strict", "-f", "-"); !strings.Contains(out, "server dry run") {
			t.Errorf("%s: %s", folder, out)
		}
	}
}

// commands are the blocks of shell in docs/kubernetes.md.
func commands(t *testing.T) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile("../../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(text), "```sh\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		blocks = append(blocks, strings.ReplaceAll(block, "\n   ", "\n"))
	}
	return blocks
}

// follow does what docs/kubernetes.md says. What is marked there must stop here.
func follow(t *testing.T) {
	t.Helper()
	script, err := filepath.Abs("../../servers/kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "deploy"), os.DirFS("../../../deploy")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		remove := `for part in engines proxy base; do kubectl delete --ignore-not-found -k deploy/kubernetes/$part; done`
		if out, err := shell(context.Background(), dir, script, remove); err != nil { //nolint:usetesting // the test's has ended
			t.Errorf("%v: %s", err, out)
		}
	})
	for _, block := range commands(t) {
		out, err := shell(t.Context(), dir, script, block)
		if stops := strings.Contains(block, "⊘"); stops != (err != nil) {
			t.Fatalf("%v; it is said to stop here: %v\n%s%s", err, stops, block, out)
		}
		t.Logf("%s%s", block, out)
	}
}

// shell runs commands with the control plane's kubectl.
func shell(ctx context.Context, dir, script, text string) (string, error) {
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", `kubectl() { "$0" kubectl "$@"; }`+"\n"+text, script)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestDocs_fromNothing applies what docs/kubernetes.md says. Without nodes its pods are made, within what the namespace
// enforces, and do not run.
func TestDocs_fromNothing(t *testing.T) {
	b := newTestbed(t)
	follow(t)
	in := *b
	in.namespace = applied
	await := func(what string, done func() bool) {
		t.Helper()
		for end := time.Now().Add(2 * time.Minute); !done(); {
			if time.Now().After(end) || !sleep(t.Context(), 100*time.Millisecond) {
				t.Fatalf("not %s", what)
			}
		}
	}
	for name, want := range map[string]int{"lanewise-router": 2, "lanewise-shard": 2, "vllm": 1, "tei": 1} {
		await("pods of "+name, func() bool {
			pods, err := b.CoreV1().Pods(applied).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + name})
			return err == nil && len(pods.Items) == want
		})
	}
	router, err := b.AppsV1().Deployments(applied).Get(t.Context(), "router", metav1.GetOptions{})
	if err != nil || router.Spec.Template.Spec.Containers[0].Image != "registry.example.com/lanewise:1" {
		t.Errorf("%+v, %v", router.Spec.Template.Spec.Containers, err)
	}
	await("without endpoints", func() bool { _, why := b.available(t.Context()); return strings.HasPrefix(why, "MissingEndpoints") })
	t.Run("a router has the rights that it needs", func(t *testing.T) { mayDoItsWork(t, &in, await) })
	t.Run("a router comes up", func(t *testing.T) { comesUp(t, &in, await) })
}

// comesUp serves what the manifests configure, on this machine: it takes its place among the routers, and finds the engines.
func comesUp(t *testing.T, b *testbed, await func(string, func() bool)) {
	t.Helper()
	b.t = t
	dir := t.TempDir()
	b.certificate(dir, time.Hour)
	text, err := os.ReadFile(filepath.Join(manifests, "base", "router-config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	here := strings.NewReplacer("0.0.0.0:6443", freeAddress(t), "0.0.0.0:9090", "127.0.0.1:0", "0.0.0.0:8080", "127.0.0.1:0", "/etc/lanewise/tls/ca.crt", "tls.crt", "/etc/lanewise/tls/", "")
	file := filepath.Join(dir, "lanewise.yaml")
	if err := os.WriteFile(file, []byte(here.Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"LANEWISE_OTHERS_KEY": "0123456789abcdef", "POD_NAME": "router-0", "POD_UID": "7",
		"KUBECONFIG": b.kubeconfig(asAdmin, asPod, "cluster: test, user: admin", "cluster: test, user: admin, namespace: "+applied),
	} {
		t.Setenv(name, value)
	}
	c, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	b.run(c)
	await("its lease", func() bool {
		leases, err := b.CoordinationV1().Leases(applied).List(t.Context(), metav1.ListOptions{LabelSelector: "lanewise.io/map=shards"})
		return err == nil && len(leases.Items) == 1
	})
}

// mayDoItsWork does everything that a router does on a cluster, as its service account.
func mayDoItsWork(t *testing.T, b *testbed, await func(string, func() bool)) {
	t.Helper()
	b.t = t
	c := b.cluster(asAdmin, asPod)
	source := c.Endpoints("", "chat", "http")
	source.Zero = true
	follower := discovery.Follow("chat", source, nil, func([]discovery.Member) error { return nil })
	defer follower.Close()
	if err := follower.First(t.Context()); err != nil {
		t.Fatal(err)
	}
	host, err := ownAddress()
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine("chat-0", host)
	defer e.server.Close()
	if _, err := b.DiscoveryV1().EndpointSlices(applied).Create(t.Context(), endpointSlice(e, host), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await("a member that has come", func() bool { return len(follower.Status().Members) == 1 })

	ctx, cancel := context.WithCancel(t.Context())
	front, ended := c.FrontProxy(), make(chan struct{})
	go func() { front.Run(ctx); close(ended) }()
	await("how the API server shows itself", func() bool { return front.Get().CA != nil })
	cancel()
	<-ended

	events := c.Events("router-0", "7")
	defer events.Close()                                                                                        //nolint:errcheck // it returns nil
	slog.New(events.Handler(slog.NewTextHandler(io.Discard, nil))).Warn("trouble", "event", "DiscoveryTrouble") //nolint:sloglint // slog's own takes no lines at all
	await("an Event", func() bool { return b.events(t.Context(), "DiscoveryTrouble") == "trouble\n" })
	sharesItsMap(t, c.Map("", "other", 3*time.Second))
}

func sharesItsMap(t *testing.T, m *kubernetes.Map) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	revision, err := m.Save(ctx, []byte("1"), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Save(ctx, []byte("2"), revision); err != nil {
		t.Fatal(err)
	}
	if data, _, err := m.Load(ctx); err != nil || string(data) != "2" {
		t.Fatalf("%q, %v", data, err)
	}
	watching, changed := context.WithCancel(ctx)
	defer changed()
	for watching.Err() == nil { // it may break: then it is watched again, as a router does
		if err := m.Watch(watching, changed); errors.Is(err, fault.Refused) {
			t.Fatal(err)
		}
	}
	if _, err := m.Renew(ctx, "router-0", []byte("entry")); err != nil {
		t.Fatal(err)
	}
	if all, err := m.Leases(ctx); err != nil || len(all) != 1 {
		t.Fatalf("%q, %v", all, err)
	}
	if err := m.Release(ctx, "router-0"); err != nil {
		t.Fatal(err)
	}
}
