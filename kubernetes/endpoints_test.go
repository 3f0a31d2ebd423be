package kubernetes

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	slicesv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanewise/lanewise/discovery"
)

func slice(name string, ports []slicesv1.EndpointPort, endpoints ...slicesv1.Endpoint) *slicesv1.EndpointSlice {
	return &slicesv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "rag", Labels: map[string]string{
			slicesv1.LabelServiceName: "chat", "lanewise.io/model": "small", "app": "vllm",
		}},
		AddressType: slicesv1.AddressTypeIPv4, Ports: ports, Endpoints: endpoints,
	}
}

// pod is an endpoint of a pod whose conditions are r (ready), s (serving) and t
// (terminating), or not told.
func pod(name, address, conditions string) slicesv1.Endpoint {
	ep := slicesv1.Endpoint{Addresses: []string{address}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: name}}
	if conditions == "" {
		return ep
	}
	has := func(c string) *bool {
		for _, have := range conditions {
			if string(have) == c {
				return new(true)
			}
		}
		return new(false)
	}
	ep.Conditions = slicesv1.EndpointConditions{Ready: has("r"), Serving: has("s"), Terminating: has("t")}
	return ep
}

var http8000 = []slicesv1.EndpointPort{{Name: new("http"), Port: new(int32(8000))}}

func TestEndpoints_members(t *testing.T) {
	zoned := pod("c", "10.0.0.3", "rs")
	zoned.Zone, zoned.Hostname = new("eu-1a"), new("chat-0")
	nameless := slicesv1.Endpoint{Addresses: []string{"fd00::4"}}
	two := []slicesv1.EndpointPort{{Name: new("metrics"), Port: new(int32(9000))}, {Name: new("http"), Port: new(int32(8000))}}
	tests := []struct {
		name   string
		port   string
		slices []any
		want   []string // name address state zone replica
	}{
		{"conditions", "", []any{slice("s1", http8000, pod("a", "10.0.0.1", "rs"), pod("b", "10.0.0.2", ""), pod("new", "10.0.0.9", "-"), pod("going", "10.0.0.7", "st"), pod("gone", "10.0.0.8", "t"))},
			[]string{"a 10.0.0.1:8000", "b 10.0.0.2:8000", "going 10.0.0.7:8000 serving", "gone 10.0.0.8:8000 terminating"}},
		{"zone and host name", "http", []any{slice("s1", two, zoned)}, []string{"c 10.0.0.3:8000 eu-1a chat-0"}},
		{"without a pod", "", []any{slice("s1", http8000, nameless)}, []string{"[fd00::4]:8000 [fd00::4]:8000"}},
		{"duplicates, the better one counts", "", []any{slice("s1", http8000, pod("a", "10.0.0.1", "t")), slice("s2", http8000, pod("a", "10.0.0.1", "rs"), pod("a", "10.0.0.1", "rs"))},
			[]string{"a 10.0.0.1:8000"}},
		{"two addresses of a pod, the first counts", "", []any{slice("s2", http8000, pod("a", "fd00::1", "rs")), slice("s1", http8000, pod("a", "10.0.0.1", "rs"))},
			[]string{"a 10.0.0.1:8000"}},
		{"a slice without the port beside one with it", "http", []any{slice("s1", nil, pod("a", "10.0.0.1", "rs")), slice("s2", http8000, pod("b", "10.0.0.2", "rs"))},
			[]string{"b 10.0.0.2:8000"}},
		{"a number needs no port", "8100", []any{slice("s1", nil, pod("a", "10.0.0.1", "rs"))}, []string{"a 10.0.0.1:8100"}},
		{"no address", "", []any{slice("s1", http8000, slicesv1.Endpoint{})}, []string{}},
		{"no slice", "", nil, []string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			members, err := Endpoints{Namespace: "rag", Service: "chat", Port: tt.port}.members(tt.slices)
			if err != nil {
				t.Fatal(err)
			}
			got := []string{}
			for _, m := range members {
				line := m.Name + " " + m.Address
				for _, more := range []string{string(m.State), m.Zone, m.Labels["replica"]} {
					if more != "" {
						line += " " + more
					}
				}
				got = append(got, line)
				if m.Labels["model"] != "small" || m.Labels["app"] != "" {
					t.Errorf("%s has the labels %v", m.Name, m.Labels)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEndpoints_nobodyHasThePort(t *testing.T) {
	for _, port := range []string{"", "grpc"} {
		e := Endpoints{Namespace: "rag", Service: "chat", Port: port}
		two := append([]slicesv1.EndpointPort{{Name: new("metrics"), Port: new(int32(9000))}}, http8000...)
		if _, err := e.members([]any{slice("s1", two, pod("a", "10.0.0.1", "rs"))}); err == nil {
			t.Errorf("port %q: no error", port)
		}
		if _, err := e.members([]any{slice("s1", nil, pod("a", "10.0.0.1", "rs"))}); err == nil {
			t.Errorf("port %q, and a slice without ports: no error", port)
		}
	}
}

func TestStateOf_agreesWithDiscovery(t *testing.T) {
	for conditions, want := range map[string]discovery.State{"rs": discovery.Ready, "rst": discovery.Serving, "st": discovery.Serving, "t": discovery.Terminating} {
		if got, ok := stateOf(pod("a", "10.0.0.1", conditions).Conditions); !ok || got != want {
			t.Errorf("%s: %q, %v", conditions, got, ok)
		}
	}
}

func TestEndpoints_zonesAreTiers(t *testing.T) {
	zoned := func(name, zone, conditions string) slicesv1.Endpoint {
		ep := pod(name, "10.0.0."+name, conditions)
		if zone != "" {
			ep.Zone = &zone
		}
		return ep
	}
	all := []any{
		slice("s1", http8000, zoned("1", "eu-1a", "rs"), zoned("2", "eu-1b", "rs"), zoned("3", "", "rs")),
		slice("s2", http8000, zoned("4", "eu-1a", "st"), zoned("5", "eu-1b", "st")),
	}
	for own, want := range map[string][]int{"": {0, 0, 0, 0, 0}, "eu-1a": {0, 1, 0, 0, 1}, "eu-1b": {1, 0, 0, 1, 0}, "eu-1c": {1, 1, 0, 1, 1}} {
		members, err := Endpoints{Namespace: "rag", Service: "chat", Zone: own}.members(all)
		if err != nil {
			t.Fatal(err)
		}
		got := []int{}
		for _, m := range members {
			got = append(got, m.Tier)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("a router in %q: %s", own, diff)
		}
	}
}
