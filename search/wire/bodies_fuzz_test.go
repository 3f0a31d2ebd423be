package wire_test

import (
	"errors"
	"testing"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search/wire"
)

// Whatever a body is, of whatever endpoint: it is read, or it is refused as the client's.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		`{"collection": "docs", "question": "a?", "turns": [{"role": "user", "content": "b"}], "stream": true}`, `{"queries": [{"collection": "docs", "text": "a"}]}`,
		`{"tenant": "t", "points": [{"id": "a", "text": "b", "vector": "AACAPw==", "sparse": {"indices": [1], "values": [0.5]}, "metadata": {"y": 1}}]}`,
		`{"ids": ["a"]}`, `{"filter": {"a": {"$not": {"$in": [1]}}}}`, `{"limit": 5, "cursor": "x"}`, `{"dims": 2, "metric": "dot", "placement": {"by": "tenant", "spread": 2}}`, `{"collection": "c"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for name, err := range map[string]error{
			"answer": read[wire.AnswerRequest](data), "batch": read[wire.BatchRequest](data), "upsert": read[wire.UpsertRequest](data), "delete": read[wire.DeleteRequest](data),
			"scroll": read[wire.ScrollRequest](data), "count": read[wire.CountRequest](data), "collection": read[wire.Collection](data), "alias": read[wire.Alias](data),
		} {
			if err != nil && !errors.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func read[T any](data []byte) error {
	_, err := wire.Decode[T](data)
	return err
}
