package search_test

import (
	"encoding/json"
	"fmt"

	"github.com/lanewise/lanewise/search"
)

func ExampleParseFilter() {
	f, err := search.ParseFilter([]byte(`{"year": {"$gte": 2020}, "$or": [{"lang": "go"}, {"lang": {"$in": ["c", "rust"]}}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f.Match(json.RawMessage(`{"year": 2024, "lang": ["c", "asm"]}`)))
	fmt.Println(f.Match(json.RawMessage(`{"year": 2024, "lang": "java"}`)))

	_, err = search.ParseFilter([]byte(`{"year": {"$after": 2020}}`))
	fmt.Println(err)
	// Output:
	// true
	// false
	// /year/$after: unknown operation: there are $eq $ne $gt $gte $lt $lte $in $nin $exists $and $or $not
}

// The same year written in another way is the same year.
func ExampleValueOf() {
	year, err := search.ValueOf(2024.0)
	if err != nil {
		fmt.Println(err)
		return
	}
	f := search.Filter{Op: search.Eq, Field: "year", Values: []search.Value{year}}
	fmt.Println(f.Match(json.RawMessage(`{"year": 2024}`)), f.Match(json.RawMessage(`{"year": "2024"}`)))
	// Output: true false
}
