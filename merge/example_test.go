package merge_test

import (
	"fmt"

	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/search"
)

func ExampleTopK() {
	hit := func(id string, version search.Version, score float64) search.Hit {
		return search.Hit{Point: search.Point{Key: search.Key{ID: id}, Version: version}, Score: score}
	}
	north := search.List{Hits: []search.Hit{hit("old news", 1, 0.9), hit("harbour", 1, 0.6)}, Exhausted: true, Prefix: true}
	south := search.List{Hits: []search.Hit{hit("market", 1, 0.7), hit("old news", 2, 0.2)}, Exhausted: true, Prefix: true}
	for _, h := range merge.TopK(2, north, south).Hits {
		fmt.Println(h.ID, h.Score)
	}
	// Output:
	// market 0.7
	// harbour 0.6
}

// A gather asks three shards for fewer rows than are wanted, and one of them again.
func ExampleGather() {
	shards := [][]float64{{9, 8, 7, 6, 5}, {4, 3, 2}, {1}}
	ask := func(shard, rows int) (l search.List) {
		all := shards[shard]
		for i, score := range all[:min(rows, len(all))] {
			id := fmt.Sprintf("%d-%d", shard, i)
			l.Hits = append(l.Hits, search.Hit{Point: search.Point{Key: search.Key{ID: id}}, Score: score})
		}
		l.Exhausted, l.Prefix = rows >= len(all), true
		return l
	}
	var g merge.Gather
	g.Start(4, []int{2, 2, 2})
	for i := range shards {
		g.Put(i, ask(i, 2), nil)
	}
	for again := g.Next(); len(again) > 0; again = g.Next() {
		for _, r := range again {
			fmt.Printf("ask shard %d for %d rows\n", r.Shard, r.Rows)
			g.Put(r.Shard, ask(r.Shard, r.Rows), nil)
		}
	}
	for _, h := range g.List().Hits {
		fmt.Println(h.ID, h.Score)
	}
	// Output:
	// ask shard 0 for 4 rows
	// ask shard 1 for 4 rows
	// 0-0 9
	// 0-1 8
	// 0-2 7
	// 0-3 6
}

func ExampleFuse() {
	hit := func(id string, score float64) search.Hit {
		return search.Hit{Point: search.Point{Key: search.Key{ID: id}}, Score: score}
	}
	rankings := []merge.Ranking{
		{Hits: []search.Hit{hit("a", 0.8), hit("b", 0.6)}, Metric: search.Cosine},
		{Hits: []search.Hit{hit("c", 12), hit("b", 9)}}, // lexical
	}
	scores := map[string]float64{"0c": 0.2, "1a": 2} // what the shards answer when they are asked
	for leg, keys := range merge.Missing(rankings) {
		for _, k := range keys {
			rankings[leg].Completed = append(rankings[leg].Completed, hit(k.ID, scores[fmt.Sprint(leg, k.ID)]))
		}
	}
	for _, h := range merge.Fuse(merge.Completed, rankings) {
		fmt.Printf("%s %.3f\n", h.ID, h.Score)
	}
	// Output:
	// b 0.750
	// c 0.625
	// a 0.583
}
