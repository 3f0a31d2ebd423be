package metrics_test

import (
	"fmt"

	"github.com/lanewise/lanewise/kubernetes/metrics"
)

func ExampleLabels() {
	labels := metrics.Labels("llm meta-llama/Llama-3.1-8B", "llm meta-llama/Llama-3.1-8B")
	fmt.Println(labels["lane"], labels["model"])
	// Output: llm meta-llama-Llama-3.1-8B
}
