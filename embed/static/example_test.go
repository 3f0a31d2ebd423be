package static_test

import (
	"context"
	"fmt"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/embed/static"
)

func ExampleNew() {
	model, err := static.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	vectors, err := model.Embed(context.Background(), embed.Batch{
		Task:  embed.QueryTask,
		Texts: []string{"How do I read a file line by line?", "scan the lines of a text", "boil two eggs"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	question := vectors.Row(0)
	fmt.Println(model.Space().ID())
	fmt.Println("nearer to lines than to eggs:", dot(question, vectors.Row(1)) > dot(question, vectors.Row(2)))
	// Output:
	// static-256
	// nearer to lines than to eggs: true
}

// dot is the cosine, since all vectors have length 1.
func dot(a, b []float32) (sum float32) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}
