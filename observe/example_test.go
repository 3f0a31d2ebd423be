package observe_test

import (
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/observe"
)

func Example() {
	m, err := observe.New("1.0.0", func() observe.State { return observe.State{} })
	if err != nil {
		panic(err)
	}
	// A lane calls this at the end of every attempt.
	m.Trace().Ended(balance.Attempt{Lane: "shards", Pool: "s0", Member: "r0", Reason: balance.First, Won: true})

	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "lanewise_attempts_total") {
			fmt.Print(line)
		}
	}
	// Output:
	// lanewise_attempts_total{lane="shards",member="r0",outcome="won",pool="s0",reason="first"} 1
}
