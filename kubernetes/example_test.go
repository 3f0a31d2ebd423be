package kubernetes_test

import (
	"fmt"

	"github.com/lanewise/lanewise/kubernetes"
)

// Without a kubeconfig a program speaks as the service account of its pod.
func ExampleOpen() {
	_, err := kubernetes.Open(kubernetes.Config{Kubeconfig: "no-such-file"})
	fmt.Println(err != nil)
	// Output: true
}
