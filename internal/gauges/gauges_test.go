package gauges_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/gauges"
)

// pages are as servers write them, shortened.
var pages = []struct {
	name, page string
	want       gauges.Load
}{
	{"vllm", `# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 4.0
vllm:num_requests_waiting{engine="0",model_name="m"} 1.0
vllm:num_requests_waiting{engine="1",model_name="m"} 0.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.75
vllm:prefix_cache_queries_total{engine="0",model_name="m"} 1000.0
vllm:prefix_cache_queries_created{engine="0",model_name="m"} 1.7e+09
vllm:prefix_cache_hits_total{engine="0",model_name="m"} 250.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="m"} 0.0
`, gauges.Load{Running: 7, Waiting: 1, Cache: 0.75, Asked: 1000, Found: 250}},
	{"vllm, old names", `vllm:num_requests_running{model_name="m"} 2
vllm:num_requests_waiting{model_name="m"} 5
vllm:gpu_cache_usage_perc{model_name="m"} 0.5
vllm:gpu_prefix_cache_queries{model_name="m"} 10
vllm:gpu_prefix_cache_hits{model_name="m"} 5
`, gauges.Load{Running: 2, Waiting: 5, Cache: 0.5, Asked: 10, Found: 5}},
	{"vllm, both names", `vllm:num_requests_running 2
vllm:gpu_cache_usage_perc 0.9
vllm:kv_cache_usage_perc 0.5
vllm:gpu_cache_usage_perc 0.9
`, gauges.Load{Running: 2, Cache: 0.5, Asked: -1, Found: -1}},
	{"sglang", `sglang:num_running_reqs{model_name="m"} 6.0
sglang:num_queue_reqs{model_name="m"} 2.0
sglang:token_usage{model_name="m"} 0.28
sglang:cache_hit_rate{model_name="m"} 0.007
`, gauges.Load{Running: 6, Waiting: 2, Cache: 0.28, Asked: -1, Found: -1}},
	{"sglang, underscores", "sglang_num_running_reqs{model_name=\"m\"} 6\nsglang_num_queue_reqs{model_name=\"m\"} 2\n", gauges.Load{Running: 6, Waiting: 2, Cache: -1, Asked: -1, Found: -1}},
	{"llama.cpp", "llamacpp:requests_processing 1\nllamacpp:requests_deferred 3\nllamacpp:kv_cache_usage_ratio 0.1\n", gauges.Load{Running: 1, Waiting: 3, Cache: 0.1, Asked: -1, Found: -1}},
	{"tgi", "tgi_queue_size 4\ntgi_batch_current_size 8\ntgi_batch_current_max_tokens 900\n", gauges.Load{Running: 8, Waiting: 4, Cache: -1, Asked: -1, Found: -1}},
	{"tei", "te_queue_size 9\n", gauges.Load{Waiting: 9, Cache: -1, Asked: -1, Found: -1}},
	{"tensorrt-llm", "trtllm_num_requests_running 2\ntrtllm_num_requests_waiting 1\ntrtllm_kv_cache_utilization 0.4\n", gauges.Load{Running: 2, Waiting: 1, Cache: 0.4, Asked: -1, Found: -1}},
	{"times, blanks, odd labels", "vllm:num_requests_running{a=\"x} y\", other_model_name=\"z\", model_name=\"m\"}  2  1700000000000\nvllm:num_requests_waiting\t1\r\n\nnonsense\n{}\nvllm:num_requests_running{\nvllm:num_requests_running{} many\n",
		gauges.Load{Running: 2, Waiting: 1, Cache: -1, Asked: -1, Found: -1}},
	{"another model beside", "vllm:num_requests_running{model_name=\"m\"} 2\nvllm:num_requests_running{model_name=\"other\"} 50\n", gauges.Load{Running: 2, Cache: -1, Asked: -1, Found: -1}},
	{"an absurd share", "vllm:num_requests_running 2\nvllm:kv_cache_usage_perc NaN\nvllm:prefix_cache_queries_total 5\nvllm:prefix_cache_hits_total 50\n", gauges.Load{Running: 2, Cache: -1, Asked: -1, Found: -1}},
	{"nothing to do", "vllm:num_requests_running 0\nvllm:num_requests_waiting 0\n", gauges.Load{Cache: -1, Asked: -1, Found: -1}},
}

func TestRead(t *testing.T) {
	for _, p := range pages {
		if got, err := gauges.Read(strings.NewReader(p.page), "m"); got != p.want || err != nil {
			t.Errorf("%s: %+v, %v, want %+v", p.name, got, err, p.want)
		}
	}
}

func TestRead_refuses(t *testing.T) {
	for name, page := range map[string]string{
		"nothing":         "",
		"no gauge of it":  "go_goroutines 5\nvllm:kv_cache_usage_perc 0.5\n",
		"not a number":    "vllm:num_requests_running NaN\n",
		"negative":        "vllm:num_requests_running -1\n",
		"too many":        "vllm:num_requests_running 1e18\n",
		"infinite":        "vllm:num_requests_waiting +Inf\nvllm:num_requests_running 1\n",
		"a bad engine":    "vllm:num_requests_running{engine=\"0\"} 3\nvllm:num_requests_running{engine=\"1\"} NaN\n",
		"other models":    "vllm:num_requests_running{model_name=\"other\"} 5\n",
		"an endless line": "vllm:num_requests_running " + strings.Repeat("0", 2<<20),
	} {
		if got, err := gauges.Read(strings.NewReader(page), "m"); !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if got, err := gauges.Read(strings.NewReader("vllm:num_requests_running{model_name=\"a \\\"b\\\"\\n\"} 5\n"), "a \"b\"\n"); err != nil || got.Running != 5 {
		t.Errorf("an escaped name: %+v, %v", got, err)
	}
}

// FuzzRead holds that no page makes a panic or a figure that cannot be.
func FuzzRead(f *testing.F) {
	for _, p := range pages {
		f.Add(p.page)
	}
	f.Fuzz(func(t *testing.T, page string) {
		l, err := gauges.Read(strings.NewReader(page), "m")
		if err == nil && (!(l.Running >= 0 && l.Running <= 1e6) || !(l.Waiting >= 0 && l.Waiting <= 1e6) || !(l.Cache >= -1 && l.Cache <= 1) || !(l.Asked >= l.Found)) {
			t.Errorf("%+v", l)
		}
	})
}

func ExampleRead() {
	load, err := gauges.Read(strings.NewReader("llamacpp:requests_processing 1\nllamacpp:requests_deferred 2\n"), "")
	fmt.Println(load.Running+load.Waiting, err)
	// Output: 3 <nil>
}
