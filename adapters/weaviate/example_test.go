package weaviate_test

import (
	"fmt"

	"github.com/lanewise/lanewise/adapters/weaviate"
)

func ExampleNew() {
	s, err := weaviate.New(weaviate.Config{Address: "127.0.0.1:8080", GRPC: "127.0.0.1:50051", Index: weaviate.HNSW})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close() //nolint:errcheck // an example
	can := s.Capabilities()
	fmt.Println(can.Engine, can.Exact, can.MaxK)

	_, err = weaviate.New(weaviate.Config{Address: "http://127.0.0.1:8080"})
	fmt.Println(err)
	// Output:
	// weaviate false 10000
	// /address: must be HOST:PORT, without a scheme, path, user or password
}
