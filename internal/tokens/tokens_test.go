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

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"", 0, ""},
		{"a", 0, ""},
		{"four", 1, "four"},
		{"fives", 1, "five"},
		{"日本語", 2, "日本"},
		{"go 語", 1, "go "},
		{"go 語", 2, "go 語"},
		{"a\xffb", 1, "a"},
	} {
		if got := tokens.Cut(c.text, c.n); got != c.want || tokens.Estimate(got) > c.n {
			t.Errorf("Cut(%q, %d) = %q, want %q", c.text, c.n, got, c.want)
		}
	}
}

func ExampleEstimate() {
	fmt.Println(tokens.Estimate("Scanner reads a file line by line."))
	// Output: 9
}
