//go:build unix

package local_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain runs a child's part where a test started this binary as one.
func TestMain(m *testing.M) {
	if part := os.Getenv(childVariable); part != "" {
		os.Exit(child(part))
	}
	goleak.VerifyTestMain(m)
}
