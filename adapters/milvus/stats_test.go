package milvus

import (
	"fmt"
	"testing"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"

	"github.com/lanewise/lanewise/search"
)

// Digests are added up here: of so many points that they fit into one answer, and of the
// present, since copies are compared by them.
func TestStats_digest(t *testing.T) {
	for _, n := range []int{0, 1, mostDigested, mostDigested + 1} {
		var digest uint64
		pks, versions := make([]string, n), make([]int64, n)
		for i := range n {
			k := search.Key{ID: fmt.Sprint("p", i)}
			pks[i], versions[i] = primary(k), int64(i+1)
			digest += search.Digest(k, search.Version(i+1)) //nolint:gosec // small
		}
		f := &fake{query: func(q *milvuspb.QueryRequest) *milvuspb.QueryResults {
			if q.GetConsistencyLevel() != commonpb.ConsistencyLevel_Strong {
				t.Errorf("asked with consistency %v", q.GetConsistencyLevel())
			}
			out := &milvuspb.QueryResults{Status: &commonpb.Status{}}
			if len(q.GetOutputFields()) == 1 {
				out.FieldsData = []*schemapb.FieldData{numbers("count(*)", 123456)}
			} else {
				out.FieldsData = []*schemapb.FieldData{words("pk", pks...), numbers("version", versions...)}
			}
			return out
		}}
		got, err := serve(t, f, Config{}).Stats(t.Context(), "docs")
		if err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		points := n
		if n > mostDigested {
			points, digest = 123456, 0
		}
		if got[0].Points != points || got[0].Digest != digest {
			t.Errorf("of %d points: got %+v, want digest %x", n, got[0], digest)
		}
	}
}

func numbers(name string, data ...int64) *schemapb.FieldData {
	return &schemapb.FieldData{FieldName: name, Field: &schemapb.FieldData_Scalars{Scalars: &schemapb.ScalarField{
		Data: &schemapb.ScalarField_LongData{LongData: &schemapb.LongArray{Data: data}},
	}}}
}

func words(name string, data ...string) *schemapb.FieldData {
	return &schemapb.FieldData{FieldName: name, Field: &schemapb.FieldData_Scalars{Scalars: &schemapb.ScalarField{
		Data: &schemapb.ScalarField_StringData{StringData: &schemapb.StringArray{Data: data}},
	}}}
}
