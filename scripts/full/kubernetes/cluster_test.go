package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	slicesv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	client "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const kubeconfigVariable = "LANEWISE_TEST_KUBERNETES"

// testbed is a namespace of its own on a real control plane.
type testbed struct {
	t         *testing.T
	namespace string
	file      string // kubeconfig
	config    *rest.Config
	*client.Clientset
}

func newTestbed(t *testing.T) *testbed {
	t.Helper()
	file := os.Getenv(kubeconfigVariable)
	if file == "" {
		t.Skipf("%s is not set: start a control plane with scripts/servers/kubernetes up", kubeconfigVariable)
	}
	config, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = 100, 200
	set, err := client.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	b := &testbed{t: t, file: file, config: config, Clientset: set}
	space, err := set.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "rag-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b.namespace = space.Name
	t.Cleanup(func() {
		if err := set.CoreV1().Namespaces().Delete(context.Background(), b.namespace, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	return b
}

// register has the API server pass the external metrics API on to a port of this machine.
func (b *testbed) register(ca []byte, port int32) {
	b.t.Helper()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "lanewise-metrics"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost", Ports: []corev1.ServicePort{{Port: port}}},
	}
	if _, err := b.CoreV1().Services(b.namespace).Create(b.t.Context(), service, metav1.CreateOptions{}); err != nil {
		b.t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": apiName},
		"spec": map[string]any{
			"group": "external.metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100, "caBundle": ca,
			"service": map[string]any{"name": "lanewise-metrics", "namespace": b.namespace, "port": port},
		},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.unregister()
	if err := b.CoreV1().RESTClient().Post().AbsPath(apiServices).Body(body).SetHeader("Content-Type", "application/json").Do(b.t.Context()).Error(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(b.unregister)
}

const (
	apiServices = "/apis/apiregistration.k8s.io/v1/apiservices"
	apiName     = "v1beta1.external.metrics.k8s.io"
)

func (b *testbed) unregister() {
	err := b.CoreV1().RESTClient().Delete().AbsPath(apiServices, apiName).Do(context.Background()).Error()
	if err != nil && !apierrors.IsNotFound(err) {
		b.t.Error(err)
	}
}

// trust has the API server believe another certificate of the API.
func (b *testbed) trust(ctx context.Context, ca []byte) {
	b.t.Helper()
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"caBundle": ca}})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.CoreV1().RESTClient().Patch(types.MergePatchType).AbsPath(apiServices, apiName).Body(patch).Do(ctx).Error(); err != nil {
		b.t.Fatal(err)
	}
}

// available returns whether the API server takes the API for available, and why not.
func (b *testbed) available(ctx context.Context) (bool, string) {
	raw, err := b.CoreV1().RESTClient().Get().AbsPath(apiServices, apiName).DoRaw(ctx)
	if err != nil {
		return false, err.Error()
	}
	var got struct {
		Status struct{ Conditions []metav1.Condition }
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		return false, err.Error()
	}
	for _, c := range got.Status.Conditions {
		if c.Type == "Available" {
			return c.Status == metav1.ConditionTrue, c.Reason + ": " + c.Message
		}
	}
	return false, "no condition yet"
}

// metric asks the API server for a metric of the model's pool.
func (b *testbed) metric(ctx context.Context, name string) (float64, error) {
	raw, err := b.CoreV1().RESTClient().Get().AbsPath("/apis/external.metrics.k8s.io/v1beta1/namespaces", b.namespace, name).
		Param("labelSelector", "lane=llm,pool=llm").DoRaw(ctx)
	if err != nil {
		return 0, err
	}
	var list struct {
		Items []struct{ Value resource.Quantity }
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return 0, err
	}
	if len(list.Items) != 1 {
		return 0, fmt.Errorf("%d values of %s", len(list.Items), name)
	}
	return list.Items[0].Value.AsApproximateFloat64(), nil
}

// deploy makes a Deployment of engines, its service, and an autoscaler that follows
// lanewise_desired_replicas.
func (b *testbed) deploy(replicas, least, most int32) {
	b.t.Helper()
	labels := map[string]string{"app": "chat"}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "chat"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "engine", Image: "engine"}}},
			},
		},
	}
	if _, err := b.AppsV1().Deployments(b.namespace).Create(b.t.Context(), d, metav1.CreateOptions{}); err != nil {
		b.t.Fatal(err)
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "chat"}, Spec: corev1.ServiceSpec{ClusterIP: "None", Ports: []corev1.ServicePort{{Name: "http", Port: 8000}}}}
	if _, err := b.CoreV1().Services(b.namespace).Create(b.t.Context(), service, metav1.CreateOptions{}); err != nil {
		b.t.Fatal(err)
	}
	one, window := resource.MustParse("1"), int32(15)
	hpa := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "chat"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "chat"},
			MinReplicas:    &least, MaxReplicas: most,
			Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricSource{
				Metric: autoscalingv2.MetricIdentifier{Name: "lanewise_desired_replicas", Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"lane": "llm", "pool": "llm"}}},
				Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: &one},
			}}},
			Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: &window}},
		},
	}
	if _, err := b.AutoscalingV2().HorizontalPodAutoscalers(b.namespace).Create(b.t.Context(), hpa, metav1.CreateOptions{}); err != nil {
		b.t.Fatal(err)
	}
}

// replicas is what the autoscaler asks the Deployment for.
func (b *testbed) replicas(ctx context.Context) (int, error) {
	d, err := b.AppsV1().Deployments(b.namespace).Get(ctx, "chat", metav1.GetOptions{})
	if err != nil {
		return 0, err
	}
	return int(*d.Spec.Replicas), nil
}

// scale is what somebody does by hand.
func (b *testbed) scale(ctx context.Context, replicas int32) {
	b.t.Helper()
	scale := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: "chat"}, Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
	if _, err := b.AppsV1().Deployments(b.namespace).UpdateScale(ctx, "chat", scale, metav1.UpdateOptions{}); err != nil {
		b.t.Fatal(err)
	}
}

// idle is why the autoscaler does nothing; empty: it works.
func (b *testbed) idle(ctx context.Context) string {
	hpa, err := b.AutoscalingV2().HorizontalPodAutoscalers(b.namespace).Get(ctx, "chat", metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	for _, c := range hpa.Status.Conditions {
		if c.Type == autoscalingv2.ScalingActive && c.Status != corev1.ConditionTrue {
			return c.Reason
		}
	}
	return ""
}

// kubelet is what the cluster lacks: it runs as many engines as the Deployment asks for,
// each after its cold start, and writes the EndpointSlices of their service. One that is
// not wanted any more is terminating for a while, and serves until the end of that.
type kubelet struct {
	*testbed
	coldStart, grace time.Duration
	host             string // of the engines
	odd              bool   // each endpoint is in a second slice too, and in a third one that has no ports

	mu      sync.Mutex
	engines []*engine // the newest last
	due     []time.Time
	going   []*engine
	made    int
}

// run works until ctx ends.
func (k *kubelet) run(ctx context.Context) {
	for sleep(ctx, 100*time.Millisecond) {
		want, err := k.replicas(ctx)
		if err == nil && k.step(want, time.Now()) {
			err = k.publish(ctx)
		}
		if err != nil && ctx.Err() == nil {
			k.t.Error(err)
			return
		}
	}
}

// step starts and ends engines, and reports whether the endpoints have changed.
func (k *kubelet) step(want int, now time.Time) (changed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.engines)+len(k.due) < want {
		k.due = append(k.due, now.Add(k.coldStart))
	}
	for len(k.engines)+len(k.due) > want && len(k.due) > 0 {
		k.due = k.due[:len(k.due)-1]
	}
	for len(k.due) > 0 && !now.Before(k.due[0]) {
		k.made++
		k.engines, k.due, changed = append(k.engines, newEngine(fmt.Sprintf("chat-%d", k.made), k.host)), k.due[1:], true
	}
	for len(k.engines) > want {
		last := k.engines[len(k.engines)-1]
		last.ends = now.Add(k.grace)
		k.engines, k.going, changed = k.engines[:len(k.engines)-1], append(k.going, last), true
	}
	k.going = slices.DeleteFunc(k.going, func(e *engine) bool {
		if now.Before(e.ends) {
			return false
		}
		e.server.Close() // it waits for what it serves
		changed = true
		return true
	})
	return changed
}

func (k *kubelet) running() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.engines)
}

// stop ends all engines.
func (k *kubelet) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range slices.Concat(k.engines, k.going) {
		e.server.Close()
	}
}

// publish writes a slice for each engine, since all of them are on one machine and
// differ in their ports.
func (k *kubelet) publish(ctx context.Context) error {
	api := k.DiscoveryV1().EndpointSlices(k.namespace)
	k.mu.Lock()
	wanted := map[string]*slicesv1.EndpointSlice{}
	for _, e := range slices.Concat(k.engines, k.going) {
		for _, s := range k.slicesOf(e) {
			wanted[s.Name] = s
		}
	}
	k.mu.Unlock()
	list, err := api.List(ctx, metav1.ListOptions{LabelSelector: slicesv1.LabelServiceName + "=chat"})
	if err != nil {
		return err
	}
	for i := range list.Items {
		have := &list.Items[i]
		s := wanted[have.Name]
		delete(wanted, have.Name)
		switch {
		case s == nil:
			err = api.Delete(ctx, have.Name, metav1.DeleteOptions{})
		case *s.Endpoints[0].Conditions.Ready != *have.Endpoints[0].Conditions.Ready:
			s.ResourceVersion = have.ResourceVersion
			_, err = api.Update(ctx, s, metav1.UpdateOptions{})
		}
		if err != nil {
			return err
		}
	}
	for _, s := range wanted {
		if _, err := api.Create(ctx, s, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func (k *kubelet) slicesOf(e *engine) []*slicesv1.EndpointSlice {
	s := endpointSlice(e, k.host)
	if !k.odd {
		return []*slicesv1.EndpointSlice{s}
	}
	again, portless := s.DeepCopy(), s.DeepCopy()
	again.Name += "-again"
	portless.Name += "-portless"
	portless.Ports = nil
	return []*slicesv1.EndpointSlice{s, again, portless}
}

func endpointSlice(e *engine, host string) *slicesv1.EndpointSlice {
	yes, ready, going := true, e.ends.IsZero(), !e.ends.IsZero()
	name, port := "http", e.port()
	return &slicesv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: e.name, Labels: map[string]string{slicesv1.LabelServiceName: "chat", "lanewise.io/model": "m"}},
		AddressType: slicesv1.AddressTypeIPv4,
		Ports:       []slicesv1.EndpointPort{{Name: &name, Port: &port}},
		Endpoints: []slicesv1.Endpoint{{
			Addresses: []string{host}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: e.name},
			Conditions: slicesv1.EndpointConditions{Ready: &ready, Serving: &yes, Terminating: &going},
		}},
	}
}

// events are those of an object's reason.
func (b *testbed) events(ctx context.Context, reason string) string {
	list, err := b.CoreV1().Events(b.namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=" + reason})
	if err != nil {
		return err.Error()
	}
	var out bytes.Buffer
	for i := range list.Items {
		fmt.Fprintln(&out, strings.TrimSpace(list.Items[i].Message))
	}
	return out.String()
}
