package abort

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/lanewise/lanewise/fault"
)

// gauges are the names under which servers tell what they have to do: vLLM's,
// SGLang's, TensorRT-LLM's, llama.cpp's, and the queue of text-embeddings-inference,
// which does not tell what it runs.
func gauges(name string) bool {
	switch name {
	case "vllm:num_requests_running", "vllm:num_requests_waiting",
		"sglang:num_running_reqs", "sglang:num_queue_reqs",
		"trtllm_num_requests_running", "trtllm_num_requests_waiting",
		"llamacpp:requests_processing", "llamacpp:requests_deferred",
		"te_queue_size":
		return true
	}
	return false
}

// maxPage bounds a page of metrics, in bytes.
const maxPage = 8 << 20

// Metrics returns the gauge of a server that shows it on a page in Prometheus' text
// format. Where there are several series, as with several engines, it is their sum.
// Its error is fault.Unavailable, also where the page shows none of the known names.
func Metrics(client *http.Client, url string) Gauge {
	return func(ctx context.Context) (float64, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return 0, fault.Wrap(fault.Invalid, "metrics", err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return 0, fault.Wrap(fault.Unavailable, "read metrics", err)
		}
		defer resp.Body.Close() //nolint:errcheck // read only
		if resp.StatusCode != http.StatusOK {
			return 0, fault.New(fault.Unavailable, "%s: status %d", url, resp.StatusCode)
		}
		sum, found := total(io.LimitReader(resp.Body, maxPage))
		if !found {
			return 0, fault.New(fault.Unavailable, "%s shows no gauge of running or waiting calls that is known here", url)
		}
		return sum, nil
	}
}

// total sums the known gauges of a page.
func total(page io.Reader) (sum float64, found bool) {
	lines := bufio.NewScanner(page)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		end := strings.IndexAny(line, "{ ")
		if end < 0 || !gauges(line[:end]) {
			continue
		}
		if brace := strings.LastIndexByte(line, '}'); brace >= 0 { // labels may hold spaces
			end = brace + 1
		}
		fields := strings.Fields(line[end:]) // a value, and perhaps a time
		if len(fields) == 0 {
			continue
		}
		if v, err := strconv.ParseFloat(fields[0], 64); err == nil {
			sum, found = sum+v, true
		}
	}
	return sum, found
}
