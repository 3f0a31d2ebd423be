package tokens_test

import (
	"fmt"
	"testing"

	"github.com/lanewise/lanewise/internal/tokens"
)

func TestEstimate(t *testing.T) {
	for _, c := range []struct {
		text string
		want int
	}{
		{"", 0},
		{"a", 1},
		{"four", 1},
		{"fives", 2},
		{"日本語", 3},
		{"go 語", 2},
		{"\xff\xfe", 2}, // broken UTF-8 counts as a rune a byte
	} {
		if got := tokens.Estimate(c.text); got != c.want {
			t.Errorf("Estimate(%q) = %d, want %d", c.text, got, c.want)
		}
	}
}

func TestSum(t *testing.T) {
	if got := tokens.Sum([]string{"four", "fives", ""}); got != 3 {
		t.Errorf("Sum = %d, want 3", got)
	}
}

func ExampleEstimate() {
	fmt.Println(tokens.Estimate("Scanner reads a file line by line."))
	// Output: 9
}
