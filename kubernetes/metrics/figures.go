package metrics

import (
	"math"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	api "k8s.io/metrics/pkg/apis/external_metrics/v1beta1"

	"github.com/lanewise/lanewise/kubernetes/scaling"
)

const listKind = "ExternalMetricValueList"

// metric takes one figure of a pool of a kind of lane; ok is false where there is none.
type metric func(kind string, f scaling.Figure) (value float64, ok bool)

// The kinds of lanes.
const (
	shards = "shards"
	models = "llm"
	embeds = "embed"
)

// metrics are all of them, by name.
func metrics() map[string]metric {
	return map[string]metric{
		"lanewise_outstanding_tokens": func(kind string, f scaling.Figure) (float64, bool) {
			return f.Outstanding, kind == models || kind == embeds
		},
		"lanewise_queue_depth": func(_ string, f scaling.Figure) (float64, bool) { return f.Queue, true },
		"lanewise_slots_used":  func(_ string, f scaling.Figure) (float64, bool) { return f.SlotsUsed, true },
		"lanewise_time_to_first_token_ms": func(kind string, f scaling.Figure) (float64, bool) {
			return f.FirstMS, kind == models && f.FirstMS > 0
		},
		"lanewise_shard_inflight": func(kind string, f scaling.Figure) (float64, bool) { return f.Inflight, kind == shards },
		"lanewise_desired_replicas": func(_ string, f scaling.Figure) (float64, bool) {
			return float64(f.Desired), f.Desired >= 0
		},
	}
}

// items are the metric's values of the pools that a selector is about.
func (m metric) items(name string, figures []scaling.Figure, selector labels.Selector) []api.ExternalMetricValue {
	out := []api.ExternalMetricValue{} // never null
	for _, f := range figures {
		of := labels.Set(Labels(f.Lane, f.Pool))
		value, ok := m(of["lane"], f)
		if !ok || !selector.Matches(of) {
			continue
		}
		out = append(out, api.ExternalMetricValue{
			MetricName: name, MetricLabels: of, Timestamp: metav1.NewTime(f.At),
			Value: *resource.NewMilliQuantity(int64(math.Round(value*1000)), resource.DecimalSI),
		})
	}
	return out
}

// Labels are those by which an autoscaler chooses a pool: lane is the kind of the lane
// (shards, embed, rerank, llm), and pool its name, without that kind before it; the pool
// of a model has model beside it. What may not stand in the value of a label is a dash.
func Labels(lane, pool string) map[string]string {
	kind, _, _ := strings.Cut(lane, " ")
	own := value(strings.TrimPrefix(pool, kind+" "))
	set := map[string]string{"lane": value(kind), "pool": own}
	if kind == models {
		set["model"] = own
	}
	return set
}

// value turns a name into a label's value: letters, digits, and - _ . within, 63 at most.
func value(name string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '-'
	}, name)
	return strings.Trim(clean[:min(len(clean), validation.LabelValueMaxLength)], "-_.")
}
