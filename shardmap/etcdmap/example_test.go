package etcdmap_test

import (
	"fmt"
	"time"

	"github.com/lanewise/lanewise/shardmap/etcdmap"
)

func ExampleOpen() {
	_, err := etcdmap.Open(etcdmap.Config{Endpoints: []string{"127.0.0.1:2379"}, TTL: time.Second})
	fmt.Println(err)
	// Output: ttl: 1s is not a whole number of seconds from 2s on
}
