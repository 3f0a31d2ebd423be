// Package gauges reads how busy a model server is from its page of metrics, in
// Prometheus' text format: by the names of vLLM, SGLang, TensorRT-LLM, llama.cpp,
// text-generation-inference and text-embeddings-inference, old ones and new ones.
package gauges

import (
	"bufio"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/lanewise/lanewise/fault"
)

// Load is what a server has to do. Where a page has several series of one name, as
// with several engines behind one server, counts are their sum and shares the
// highest.
type Load struct {
	Running float64 // calls
	Waiting float64 // calls
	Cache   float64 // share of the cache for keys and values that is in use, 0 to 1; -1: not told
	// Asked and Found are the tokens, counted since the server's start, that were looked
	// up in the prefix cache and found there; -1: not told.
	Asked, Found float64
}

// figure is one of the things that a page tells.
type figure int

const (
	running figure = iota
	waiting
	cache
	asked
	found
	figures
)

// known returns what a name tells, and how new the name is: where a page has the
// same figure under several names, the newest counts. Colons and the "_total" of
// counters are taken off before.
func known(name string) (f figure, rank int, ok bool) {
	switch name {
	case "vllm_num_requests_running", "sglang_num_running_reqs", "trtllm_num_requests_running", "llamacpp_requests_processing", "tgi_batch_current_size":
		return running, 1, true
	case "vllm_num_requests_waiting", "sglang_num_queue_reqs", "trtllm_num_requests_waiting", "llamacpp_requests_deferred", "tgi_queue_size", "te_queue_size":
		return waiting, 1, true
	case "vllm_kv_cache_usage_perc", "sglang_token_usage", "trtllm_kv_cache_utilization", "llamacpp_kv_cache_usage_ratio":
		return cache, 2, true
	case "vllm_gpu_cache_usage_perc":
		return cache, 1, true
	case "vllm_prefix_cache_queries":
		return asked, 2, true
	case "vllm_gpu_prefix_cache_queries":
		return asked, 1, true
	case "vllm_prefix_cache_hits":
		return found, 2, true
	case "vllm_gpu_prefix_cache_hits":
		return found, 1, true
	}
	return 0, 0, false
}

// Bounds of a page: its bytes, those of one line, and the calls that a server can have.
const (
	maxPage  = 8 << 20
	maxLine  = 1 << 20
	maxCalls = 1e6
)

// Read reads a page. A model that is not empty is the one to look for: where series
// are labelled with models, those of others are left out. Its error is
// fault.Unavailable where the page tells neither what runs nor what waits, tells it
// of other models only, or tells what cannot be true.
func Read(page io.Reader, model string) (Load, error) {
	r := reader{model: model}
	lines := bufio.NewScanner(io.LimitReader(page, maxPage))
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		r.line(lines.Text())
	}
	if err := lines.Err(); err != nil {
		return Load{}, fault.Wrap(fault.Unavailable, "read metrics", err)
	}
	return r.load()
}

// reader gathers a page's figures.
type reader struct {
	model   string
	ranks   [figures]int // of the names that they stand under; 0: not told
	values  [figures]float64
	foreign bool // there are other models'
}

// line reads one line; one that is no sample of a known name is passed over.
func (r *reader) line(line string) {
	end := strings.IndexAny(line, "{ \t")
	if end < 1 || line[0] == '#' {
		return
	}
	name := strings.TrimSuffix(strings.ReplaceAll(line[:end], ":", "_"), "_total")
	f, rank, ok := known(name)
	if !ok || rank < r.ranks[f] {
		return
	}
	rest := line[end:]
	if brace := strings.LastIndexByte(line, '}'); brace >= 0 { // labels may hold spaces
		if m, ok := label(line[end:brace], "model_name"); ok && r.model != "" && m != r.model {
			r.foreign = true
			return
		}
		rest = line[brace+1:]
	}
	fields := strings.Fields(rest) // a value, and perhaps a time
	if len(fields) == 0 {
		return
	}
	if v, err := strconv.ParseFloat(fields[0], 64); err == nil {
		r.enter(f, rank, v)
	}
}

// enter adds a sample: to those of its name, or in the place of those of an older one.
func (r *reader) enter(f figure, rank int, v float64) {
	switch {
	case rank > r.ranks[f]:
		r.ranks[f], r.values[f] = rank, v
	case f == cache:
		r.values[f] = math.Max(r.values[f], v) // NaN stays
	default:
		r.values[f] += v
	}
}

func (r *reader) load() (Load, error) {
	if r.ranks[running] == 0 && r.ranks[waiting] == 0 {
		if r.foreign {
			return Load{}, fault.New(fault.Unavailable, "the metrics are of other models than %q", r.model)
		}
		return Load{}, fault.New(fault.Unavailable, "the page shows no gauge of running or waiting calls that is known here")
	}
	for _, f := range []figure{running, waiting} {
		if v := r.values[f]; !(v >= 0 && v <= maxCalls) {
			return Load{}, fault.New(fault.Unavailable, "the metrics tell of %v calls", v)
		}
	}
	l := Load{Running: r.values[running], Waiting: r.values[waiting], Cache: -1, Asked: -1, Found: -1}
	if v := r.values[cache]; r.ranks[cache] > 0 && v >= 0 && v <= 1 {
		l.Cache = v
	}
	if a, f := r.values[asked], r.values[found]; r.ranks[asked] > 0 && r.ranks[found] > 0 && f >= 0 && a >= f && a <= math.MaxInt64 {
		l.Asked, l.Found = a, f
	}
	return l, nil
}

// label returns the value of a label, from the text between the braces.
func label(labels, name string) (value string, ok bool) {
	for rest := labels; ; {
		at := strings.Index(rest, name+`="`)
		if at < 0 {
			return "", false
		}
		whole := at > 0 && strings.IndexByte("{, ", rest[at-1]) >= 0
		rest = rest[at+len(name)+2:]
		text, after := quoted(rest)
		if whole {
			return text, true
		}
		rest = after
	}
}

// quoted reads up to the closing quote.
func quoted(s string) (text, rest string) {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			if s[i] == 'n' {
				out.WriteByte('\n')
			} else {
				out.WriteByte(s[i])
			}
		case s[i] == '"':
			return out.String(), s[i+1:]
		default:
			out.WriteByte(s[i])
		}
	}
	return out.String(), ""
}
