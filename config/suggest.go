package config

import (
	"maps"
	"slices"
	"strings"
)

// suggest names the known key that an unknown one is likely to mean, or all of
// them where none is near.
func suggest(key string, known map[string]int) string {
	names := slices.Sorted(maps.Keys(known))
	nearest, best := "", len(key)/3+2 // more edits than this are another word
	for _, name := range names {
		d := edits(strings.ToLower(key), name)
		if d < best || d == best && nearest != "" && letters(key) == letters(name) {
			nearest, best = name, d
		}
	}
	if nearest != "" {
		return "; did you mean " + nearest + "?"
	}
	return "; known here: " + strings.Join(names, ", ")
}

// letters sorts the letters of a word: two that were swapped are no difference.
func letters(word string) string {
	sorted := []byte(strings.ToLower(word))
	slices.Sort(sorted)
	return string(sorted)
}

// edits returns the Levenshtein distance of two words (V. Levenshtein, 1966).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
