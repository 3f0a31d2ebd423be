package kubernetes

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/lanewise/lanewise/config"
)

const manifests = "../../../deploy/kubernetes"

// render returns what kubectl apply -k makes of a folder.
func render(t *testing.T, folder string) resmap.ResMap {
	t.Helper()
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified // as kubectl
	made, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), filepath.Join(manifests, folder))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// folders are all that can be applied.
func folders(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob(manifests + "/*/kustomization.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	for _, file := range files {
		names = append(names, filepath.Base(filepath.Dir(file)))
	}
	return names
}

// strict reads a document of a kind that the API has, or one of the extensions that docs/kubernetes.md names, and takes
// no field that is not in it.
func strict(t *testing.T) runtime.Decoder {
	t.Helper()
	kinds := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, apiregistrationv1.AddToScheme, gatewayv1.Install, monitoringv1.AddToScheme} {
		if err := add(kinds); err != nil {
			t.Fatal(err)
		}
	}
	return serializer.NewCodecFactory(kinds, serializer.EnableStrict).UniversalDeserializer()
}

func TestManifests_areWhatTheAPIKnows(t *testing.T) {
	decoder := strict(t)
	for _, folder := range folders(t) {
		for _, document := range render(t, folder).Resources() {
			t.Run(folder+"/"+document.GetKind()+"/"+document.GetName(), func(t *testing.T) {
				text, err := document.MarshalJSON()
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := decoder.Decode(text, nil, nil); err != nil {
					t.Error(err)
				}
				for name, misspelt := range misspellings(t, text) {
					if _, _, err := decoder.Decode(misspelt, nil, nil); err == nil {
						t.Errorf("nobody sees that %s is misspelt", name)
					}
				}
			})
		}
	}
}

// misspellings are a document with a letter too many in the name of a field, by that name: of the outer fields, and of
// those of its spec.
func misspellings(t *testing.T, text []byte) map[string][]byte {
	t.Helper()
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	spec, _ := document["spec"].(map[string]any)
	wrong := map[string][]byte{}
	for _, fields := range []map[string]any{document, spec} {
		for _, name := range slices.Collect(maps.Keys(fields)) {
			fields[name+"s"] = fields[name]
			delete(fields, name)
			out, err := json.Marshal(document)
			if err != nil {
				t.Fatal(err)
			}
			wrong[name], fields[name] = out, fields[name+"s"]
			delete(fields, name+"s")
		}
	}
	return wrong
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
