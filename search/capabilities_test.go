package search_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

func ExampleCapabilities_Check() {
	milvus := search.Capabilities{Engine: "milvus", MaxK: 16384, Exact: false}
	fmt.Println(milvus.Check(search.Query{Legs: []search.Leg{{K: 10}, {K: 20000}}}))
	fmt.Println(milvus.Check(search.Query{Legs: []search.Leg{{K: 10, Exact: true}}}))
	// Output:
	// /legs/1/k: is 20000, milvus gives at most 16384 rows
	// /legs/0/exact: milvus only has an approximate index here
}

func TestCapabilities_checkFilter(t *testing.T) {
	c := search.Capabilities{Engine: "x", LacksOps: []search.Op{search.Exists}, MaxOrder: 3, MaxNested: 2}
	for text, ok := range map[string]bool{
		``:                                      true,
		`{"a": 1}`:                              true,
		`{"a": {"$exists": true}}`:              false,
		`{"$not": {"a": {"$exists": true}}}`:    false,
		`{"a": {"$gt": "abc"}}`:                 true,
		`{"a": {"$gt": "abcd"}}`:                false,
		`{"a": "abcd"}`:                         true,
		`{"$or": [{"a": 1}, {"b": 2}]}`:         true,
		`{"$or": [{"a": 1}, {"$not":{"b":2}}]}`: false,
	} {
		f, err := search.ParseFilter([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		err = c.CheckFilter(f)
		if (err == nil) != ok || err != nil && (fault.Of(err) != fault.Invalid || !strings.HasPrefix(fault.Field(err), "/filter")) {
			t.Errorf("%s: got %v, want ok %v", text, err, ok)
		}
		if err := (search.Capabilities{}).CheckFilter(f); err != nil {
			t.Errorf("%s, no limits: %v", text, err)
		}
	}
}

func TestCapabilities_checkPoint(t *testing.T) {
	c := search.Capabilities{Engine: "x", MaxID: 3, MaxText: 4, MaxMeta: 7}
	fits := search.Point{Key: search.Key{Tenant: "t", ID: "id"}, Text: "text", Meta: []byte(`{"a":1}`)}
	if err := c.CheckPoint(fits); err != nil {
		t.Errorf("at every limit: got %v", err)
	}
	long, large, named := fits, fits, fits
	long.Text, large.Meta, named.Tenant = "texts", []byte(`{"a":12}`), "tt"
	for field, p := range map[string]search.Point{"/text": long, "/metadata": large, "/id": named} {
		if err := c.CheckPoint(p); fault.Of(err) != fault.Invalid || fault.Field(err) != field {
			t.Errorf("%s: got %v", field, err)
		}
		if err := (search.Capabilities{}).CheckPoint(p); err != nil {
			t.Errorf("%s, no limits: %v", field, err)
		}
	}
}
