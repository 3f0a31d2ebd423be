package wire_test

import (
	"fmt"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

func ExampleDecode() {
	req, err := wire.Decode[wire.SearchRequest]([]byte(`{"collection": "docs", "vector": [0.5, -1], "filter": {"year": {"$gte": 2020}}}`))
	fmt.Println(req.Collection, req.Vector, req.K, err)

	_, err = wire.Decode[wire.SearchRequest]([]byte(`{"collection": "docs", "legs": [{"vector": [0.5, 1e99]}]}`))
	fmt.Println(err, "·", fault.Of(err), fault.Field(err))
	// Output:
	// docs [0.5 -1] 10 <nil>
	// /legs/0/vector/1: is out of the range of a float32 · invalid /legs/0/vector/1
}

func ExampleMarshalReplica() {
	q := search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{0.5, -1}, K: 10}}, Epoch: 3}
	data, err := wire.MarshalReplica(q)
	fmt.Println(string(data), err)

	again, err := wire.UnmarshalReplica[search.Query](data)
	fmt.Println(again.Legs[0].Dense, again.Epoch, err)
	// Output:
	// {"collection":"docs","legs":[{"dense":"AAAAPwAAgL8=","k":10}],"epoch":3} <nil>
	// [0.5 -1] 3 <nil>
}
