package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/lanewise/lanewise/config"
)

// site is what all folders have together, by kind and name: Service/router, and Service/router:http for a port of it.
type site struct {
	t        *testing.T
	there    map[string]bool
	pods     []corev1.PodTemplateSpec
	services []*corev1.Service
	docs     string
}

// TestManifests_nameWhatIsThere: what a document refers to is another one, or what a cluster or docs/kubernetes.md has.
func TestManifests_nameWhatIsThere(t *testing.T) {
	docs, err := os.ReadFile("../../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, docs: string(docs), there: map[string]bool{
		"Secret/lanewise-metrics-tls": true, "Secret/lanewise-routers": true, "ServiceAccount/": true,
		"ServiceAccount/horizontal-pod-autoscaler": true, "Role/extension-apiserver-authentication-reader": true,
	}}
	var all []runtime.Object
	for _, folder := range folders(t) {
		all = append(all, decoded(t, folder)...)
	}
	for _, o := range all {
		s.enter(o)
	}
	for _, o := range all {
		s.check(o)
	}
	s.follows(decoded(t, "engines"))
}

// follows wants the routers to follow all engines.
func (s *site) follows(engines []runtime.Object) {
	s.t.Setenv("LANEWISE_OTHERS_KEY", "0123456789abcdef")
	c, err := config.Load(filepath.Join(manifests, "base", "router-config.yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	followed := map[string]bool{}
	for _, u := range c.Embed.Upstreams {
		followed[u.Discover.Endpoints.Service] = true
		s.wants("Service", u.Discover.Endpoints.Service+":"+u.Discover.Endpoints.Port)
	}
	for _, u := range c.LLM.Upstreams {
		followed[u.Discover.Endpoints.Service] = true
		s.wants("Service", u.Discover.Endpoints.Service+":"+u.Discover.Endpoints.Port)
	}
	for _, o := range engines {
		if service, ok := o.(*corev1.Service); ok && !followed[service.Name] {
			s.t.Errorf("no router follows %s", service.Name)
		}
	}
}

func decoded(t *testing.T, folder string) (all []runtime.Object) {
	t.Helper()
	decoder := strict(t)
	for _, document := range render(t, folder).Resources() {
		text, err := document.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		o, _, err := decoder.Decode(text, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

func (s *site) enter(o runtime.Object) {
	named, err := meta.Accessor(o)
	if err != nil {
		s.t.Fatal(err)
	}
	own := o.GetObjectKind().GroupVersionKind().Kind + "/" + named.GetName()
	s.there[own] = true
	switch o := o.(type) {
	case *corev1.Service:
		for _, p := range o.Spec.Ports {
			s.there[own+":"+p.Name], s.there[fmt.Sprint(own, ":", p.Port)] = true, true
		}
		s.services = append(s.services, o)
	case *appsv1.Deployment:
		s.pods = append(s.pods, o.Spec.Template)
	case *appsv1.StatefulSet:
		s.pods = append(s.pods, o.Spec.Template)
	}
}

func (s *site) check(o runtime.Object) {
	switch o := o.(type) {
	case *appsv1.Deployment:
		s.workload(o.Spec.Selector, &o.Spec.Template, nil)
	case *appsv1.StatefulSet:
		s.wants("Service", o.Spec.ServiceName)
		s.workload(o.Spec.Selector, &o.Spec.Template, o.Spec.VolumeClaimTemplates)
	case *corev1.Service:
		for _, p := range o.Spec.Ports {
			s.selects(&metav1.LabelSelector{MatchLabels: o.Spec.Selector}, p.TargetPort.StrVal)
		}
	case *policyv1.PodDisruptionBudget:
		s.selects(o.Spec.Selector, "")
	case *networkingv1.NetworkPolicy:
		for _, rule := range o.Spec.Ingress {
			for _, p := range rule.Ports {
				s.selects(&o.Spec.PodSelector, p.Port.StrVal)
			}
			for _, peer := range rule.From {
				s.selects(peer.PodSelector, "")
			}
		}
	case *rbacv1.RoleBinding:
		s.binding(o.RoleRef, o.Subjects)
	case *rbacv1.ClusterRoleBinding:
		s.binding(o.RoleRef, o.Subjects)
	default:
		s.traffic(o)
	}
}

// traffic checks what sends requests, or looks at what others have sent.
func (s *site) traffic(o runtime.Object) {
	switch o := o.(type) {
	case *autoscalingv2.HorizontalPodAutoscaler:
		s.wants(o.Spec.ScaleTargetRef.Kind, o.Spec.ScaleTargetRef.Name)
		for _, m := range o.Spec.Metrics {
			if m.External != nil && !strings.Contains(s.docs, "\n| `"+m.External.Metric.Name+"` |") {
				s.t.Errorf("there is no metric %q", m.External.Metric.Name)
			}
		}
	case *networkingv1.Ingress:
		for _, rule := range o.Spec.Rules {
			for _, path := range rule.HTTP.Paths {
				s.wants("Service", path.Backend.Service.Name+":"+path.Backend.Service.Port.Name)
			}
		}
	case *gatewayv1.HTTPRoute:
		for _, rule := range o.Spec.Rules {
			for _, to := range rule.BackendRefs {
				s.wants("Service", fmt.Sprintf("%s:%d", to.Name, *to.Port))
			}
		}
	case *apiregistrationv1.APIService:
		s.wants("Service", fmt.Sprintf("%s:%d", o.Spec.Service.Name, *o.Spec.Service.Port))
	case *monitoringv1.ServiceMonitor:
		for _, e := range o.Spec.Endpoints {
			s.monitors(o.Spec.Selector, e.Port, "router", "shard")
		}
	}
}

// monitors wants the services with the port that a monitor selects to be those of these names.
func (s *site) monitors(selector metav1.LabelSelector, port string, names ...string) {
	of, err := metav1.LabelSelectorAsSelector(&selector)
	if err != nil {
		s.t.Fatal(err)
	}
	var got []string
	for _, service := range s.services {
		if of.Matches(labels.Set(service.Labels)) && s.there["Service/"+service.Name+":"+port] {
			got = append(got, service.Name)
		}
	}
	if slices.Sort(got); !slices.Equal(got, names) {
		s.t.Errorf("%v are monitored, want %v", got, names)
	}
}

func (s *site) workload(selector *metav1.LabelSelector, pod *corev1.PodTemplateSpec, claims []corev1.PersistentVolumeClaim) {
	of, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil || !of.Matches(labels.Set(pod.Labels)) {
		s.t.Errorf("%s does not select its own pods %v: %v", of, pod.Labels, err)
	}
	s.wants("ServiceAccount", pod.Spec.ServiceAccountName)
	volumes := map[string]bool{}
	for _, c := range claims {
		volumes[c.Name] = true
	}
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = true
		if v.ConfigMap != nil {
			s.wants("ConfigMap", v.ConfigMap.Name)
		}
		if v.Secret != nil {
			s.wants("Secret", v.Secret.SecretName)
		}
	}
	for _, c := range pod.Spec.Containers {
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				s.t.Errorf("%s: there is no volume %q", c.Name, m.Name)
			}
		}
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
				s.wants("Secret", e.ValueFrom.SecretKeyRef.Name)
			}
		}
	}
}

// selects wants pods that a selector chooses, and that each of them has a port of the name, if there is one.
func (s *site) selects(selector *metav1.LabelSelector, port string) {
	of, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		s.t.Fatal(err)
	}
	found := 0
	for i := range s.pods {
		if !of.Matches(labels.Set(s.pods[i].Labels)) {
			continue
		}
		found++
		if ports := s.pods[i].Spec.Containers[0].Ports; port != "" && !slices.ContainsFunc(ports, func(p corev1.ContainerPort) bool { return p.Name == port }) {
			s.t.Errorf("pods %s have no port %q", of, port)
		}
	}
	if found == 0 {
		s.t.Errorf("there are no pods %s", of)
	}
}

func (s *site) binding(role rbacv1.RoleRef, subjects []rbacv1.Subject) {
	s.wants(role.Kind, role.Name)
	for _, who := range subjects {
		s.wants(who.Kind, who.Name)
	}
}

func (s *site) wants(kind, name string) {
	if !s.there[kind+"/"+name] {
		s.t.Errorf("there is no %s %q", kind, name)
	}
}
