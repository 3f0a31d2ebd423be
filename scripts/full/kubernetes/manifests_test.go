package kubernetes

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/lanewise/lanewise/config"
)

const manifests = "../../../deploy/kubernetes"

// kinds are the API's own types. Those of extensions have none here.
var kinds = map[string]func() any{
	"Namespace": func() any { return &corev1.Namespace{} }, "Service": func() any { return &corev1.Service{} },
	"ServiceAccount": func() any { return &corev1.ServiceAccount{} }, "Deployment": func() any { return &appsv1.Deployment{} },
	"StatefulSet": func() any { return &appsv1.StatefulSet{} }, "PodDisruptionBudget": func() any { return &policyv1.PodDisruptionBudget{} },
	"NetworkPolicy": func() any { return &networkingv1.NetworkPolicy{} }, "Ingress": func() any { return &networkingv1.Ingress{} },
	"HorizontalPodAutoscaler": func() any { return &autoscalingv2.HorizontalPodAutoscaler{} },
	"Role":                    func() any { return &rbacv1.Role{} }, "RoleBinding": func() any { return &rbacv1.RoleBinding{} },
	"ClusterRole": func() any { return &rbacv1.ClusterRole{} }, "ClusterRoleBinding": func() any { return &rbacv1.ClusterRoleBinding{} },
	"Kustomization": nil, "APIService": nil, "HTTPRoute": nil, "ServiceMonitor": nil,
}

// documents calls f with each document of each manifest.
func documents(t *testing.T, f func(t *testing.T, kind string, text []byte)) {
	t.Helper()
	files, err := filepath.Glob(manifests + "/*/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "-config.yaml") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
			var of metav1.TypeMeta
			if err := yaml.Unmarshal(document, &of); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			t.Run(filepath.Base(file)+"/"+of.Kind, func(t *testing.T) { f(t, of.Kind, document) })
		}
	}
}

func TestManifests_areWhatTheAPIKnows(t *testing.T) {
	documents(t, func(t *testing.T, kind string, text []byte) {
		t.Helper()
		open, ok := kinds[kind]
		switch {
		case !ok:
			t.Fatalf("unknown kind %q", kind)
		case open == nil:
			return
		}
		if err := yaml.UnmarshalStrict(text, open()); err != nil {
			t.Error(err)
		}
	})
}

// Before a pod is told to end, the proxies have left it; and it is not killed while it
// still finishes its requests.
func TestManifests_thereIsTimeToEnd(t *testing.T) {
	t.Setenv("LANEWISE_OTHERS_KEY", "0123456789abcdef")
	for file, configuration := range map[string]string{"router.yaml": "router-config.yaml", "shard.yaml": "shard-config.yaml"} {
		c, err := config.Load(filepath.Join(manifests, "base", configuration))
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(manifests, "base", file))
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
		fits(t, file, workload.Spec.Template.Spec, c.Resolved().Timeouts)
	}
}

func fits(t *testing.T, file string, pod corev1.PodSpec, times config.Timeouts) {
	t.Helper()
	whole := pod.Containers[0]
	seen := func(p *corev1.Probe) time.Duration {
		return time.Duration(p.PeriodSeconds*p.FailureThreshold) * time.Second
	}
	grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second
	before := time.Duration(whole.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	if before+times.Notice+times.Shutdown >= grace || before <= 0 {
		t.Errorf("%s: %v before the end, %v of notice and %v of the end do not fit into %v", file, before, times.Notice, times.Shutdown, grace)
	}
	if ready := seen(whole.ReadinessProbe); ready >= times.Notice {
		t.Errorf("%s: that it is not ready is seen after %v, and it takes requests for %v", file, ready, times.Notice)
	}
	if dead := seen(whole.LivenessProbe); dead <= times.Shutdown {
		t.Errorf("%s: it counts as dead after %v, and may take %v to end", file, dead, times.Shutdown)
	}
}

// TestManifests_theAPIServerTakesThem renders each folder and has the API server check
// everything, as if it were applied.
func TestManifests_theAPIServerTakesThem(t *testing.T) {
	kubeconfig := os.Getenv(kubeconfigVariable)
	if kubeconfig == "" {
		t.Skipf("%s is not set: start a control plane with scripts/servers/kubernetes up", kubeconfigVariable)
	}
	kubectl := func(in string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "../../servers/kubernetes", append([]string{"kubectl"}, args...)...)
		cmd.Stdin = strings.NewReader(in)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := kubectl("", "create", "namespace", "lanewise"); err != nil && !strings.Contains(out, "AlreadyExists") {
		t.Fatal(out)
	}
	for _, folder := range []string{"base", "proxy", "engines"} {
		text, err := kubectl("", "kustomize", filepath.Join(manifests, folder))
		if err != nil {
			t.Fatal(text)
		}
		out, err := kubectl(text, "apply", "--dry-run=server", "--validate=strict", "-f", "-")
		if err != nil || !strings.Contains(out, "server dry run") {
			t.Errorf("%s: %v\n%s", folder, err, out)
		}
	}
	if text, err := kubectl("", "kustomize", filepath.Join(manifests, "edge")); err != nil {
		t.Error(text)
	}
}
