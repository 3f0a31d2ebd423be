package diskcache_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/lanewise/lanewise/embed/diskcache"
)

func Example() {
	dir, err := os.MkdirTemp("", "cache")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir) //nolint:errcheck // an example's own folder
	config := diskcache.Config{Path: filepath.Join(dir, "vectors"), Bytes: 16 << 20}
	for run := range 2 {
		c, err := diskcache.Open(config)
		if err != nil {
			fmt.Println(err)
			return
		}
		c.Get([]diskcache.Key{{1}}, func(_ int, value []byte) { fmt.Printf("run %d: %s\n", run, value) })
		c.Put(diskcache.Key{1}, []byte("kept"))
		if err := c.Close(); err != nil {
			fmt.Println(err)
		}
	}
	// Output: run 1: kept
}
