package adaptertest_test

import (
	"fmt"
	"testing"

	"github.com/lanewise/lanewise/adapters/adaptertest"
	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/search"
)

// An engine whose index computes in float32 and that has no conditional writes
// says so; everything else is asked of it as of any other store.
func Example() {
	conformance := func(t *testing.T) {
		t.Helper()
		adaptertest.Suite{
			Open: func(t *testing.T) search.Store {
				t.Helper()
				s, err := local.Open(local.Config{Path: t.TempDir()})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				return s
			},
			Tolerance:     1e-5,
			Unconditional: true,
		}.Run(t)
	}
	ok := testing.RunTests(func(string, string) (bool, error) { return true, nil },
		[]testing.InternalTest{{Name: "TestConformance", F: conformance}})
	fmt.Println("conforms:", ok)
	// Output: conforms: true
}
