// Package quality measures how well a ranking answers questions about the Go
// standard library. It holds the questions, written by hand, with the symbols
// that answer each; the documents are those of the Go installation, as
// internal/corpus reads them.
package quality

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"strings"
)

// Depth is how much of a ranking counts: what stands lower was not found.
// Recall and nDCG look at the first ten only.
const Depth = 100

const ten = 10

//go:embed questions.jsonl
var questionsFile []byte

//go:embed strange.txt
var strangeFile string

//go:embed minilm.json
var miniLMFile []byte

// Question is something that a reader might ask.
type Question struct {
	Text    string   `json:"question"`
	Symbols []string `json:"symbols"` // ids of the documents that answer it, each as well as the others
	Kind    Kind     `json:"kind"`
}

// Kind is the way in which a question is put.
type Kind string

// The kinds.
const (
	Behaviour Kind = "behaviour" // says what should happen, in other words than the documents'
	Name      Kind = "name"      // names what it asks for, more or less exactly
)

// Questions returns all questions, those about behaviour first.
func Questions() ([]Question, error) {
	var all []Question
	for dec := json.NewDecoder(bytes.NewReader(questionsFile)); dec.More(); {
		var q Question
		if err := dec.Decode(&q); err != nil {
			return nil, fmt.Errorf("read question %d: %w", len(all)+1, err)
		}
		all = append(all, q)
	}
	return all, nil
}

// Strange returns questions that no document answers: they are about something else altogether.
func Strange() []string { return strings.Split(strings.TrimSpace(strangeFile), "\n") }

// Ranks returns the place of each of the question's symbols in a ranking of
// document ids, from 1; 0 for those that are not among the first [Depth].
func (q Question) Ranks(ranking []string) []int {
	places := make(map[string]int, Depth)
	for i, id := range ranking[:min(len(ranking), Depth)] {
		if places[id] == 0 {
			places[id] = i + 1
		}
	}
	ranks := make([]int, len(q.Symbols))
	for i, s := range q.Symbols {
		ranks[i] = places[s]
	}
	return ranks
}

// Scores judges rankings; each figure is a mean over questions, from 0 to 1.
type Scores struct {
	Recall float64 // the share of the symbols that are among the first ten
	NDCG   float64 // of the first ten (K. Järvelin and J. Kekäläinen, TOIS 2002), all symbols weighing 1
	MRR    float64 // one divided by the place of the first symbol
}

// Judge returns the mean scores of the ranks of some questions' symbols, as
// [Question.Ranks] gives them.
func Judge(ranks [][]int) Scores {
	var mean Scores
	for _, r := range ranks {
		one := judge(r)
		mean.Recall += one.Recall / float64(len(ranks))
		mean.NDCG += one.NDCG / float64(len(ranks))
		mean.MRR += one.MRR / float64(len(ranks))
	}
	return mean
}

// judge returns the scores of one question.
func judge(ranks []int) (s Scores) {
	var found, gain, ideal float64
	for i, rank := range ranks {
		if i < ten {
			ideal += discount(i + 1)
		}
		if rank == 0 {
			continue
		}
		s.MRR = max(s.MRR, 1/float64(rank))
		if rank <= ten {
			found++
			gain += discount(rank)
		}
	}
	if ideal > 0 {
		s.Recall, s.NDCG = found/float64(min(len(ranks), ten)), gain/ideal
	}
	return s
}

// discount is what a symbol is worth at a place.
func discount(rank int) float64 { return 1 / math.Log2(float64(rank)+1) }

// Recording is how a model ranked the documents when it was last run.
type Recording struct {
	Model     string  `json:"model"`
	Go        string  `json:"go"` // the version whose documents were ranked
	Documents int     `json:"documents"`
	Ranks     [][]int `json:"ranks"` // of each question's symbols
}

// MiniLM returns the recorded run of the full transformer all-MiniLM-L6-v2, which
// embed/static/distil/quality.py makes.
func MiniLM() (Recording, error) {
	var r Recording
	if err := json.Unmarshal(miniLMFile, &r); err != nil {
		return Recording{}, fmt.Errorf("read the recorded run of all-MiniLM-L6-v2: %w", err)
	}
	return r, nil
}
