// Package eval measures rankings against relevance judgements, as TREC and BEIR
// keep them: nDCG, recall and the reciprocal rank of the first answer, with how
// far they may be off.
package eval

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/lanewise/lanewise/fault"
)

// Query is a judged question.
type Query struct {
	ID, Text string
	Gains    map[string]float64 // by document id, above 0: how well it answers
}

// maxLine bounds a line of a file, in bytes.
const maxLine = 4 << 20

// Read reads queries and their judgements. Queries without a relevant document
// cannot be scored and are left out; skipped counts them.
func Read(queries, qrels string) (judged []Query, skipped int, err error) {
	gains, err := read(qrels, qrelOf, map[string]map[string]float64{})
	if err != nil {
		return nil, 0, err
	}
	all, err := read(queries, queryOf, &asked{seen: map[string]bool{}})
	if err != nil {
		return nil, 0, err
	}
	for _, q := range all.queries {
		if q.Gains = gains[q.ID]; len(q.Gains) == 0 {
			skipped++
			continue
		}
		judged = append(judged, q)
	}
	if len(judged) == 0 {
		return nil, skipped, fault.New(fault.Invalid, "%s judges none of the queries in %s: are their ids the same?", qrels, queries)
	}
	return judged, skipped, nil
}

// asked is the queries of a file.
type asked struct {
	queries []Query
	seen    map[string]bool
}

// read hands the lines of a file that hold something to take, and returns what it collected.
func read[C any](path string, take func(line string, n int, into C) error, into C) (C, error) {
	f, err := os.Open(path) //nolint:gosec // the user names it
	if err != nil {
		return into, err
	}
	defer f.Close() //nolint:errcheck // read only
	return into, lines(f, path, func(line string, n int) error { return take(line, n, into) })
}

func lines(r io.Reader, name string, take func(line string, n int) error) error {
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, maxLine)
	n := 0
	for scan.Scan() {
		n++
		line := strings.TrimSpace(strings.TrimPrefix(scan.Text(), "\ufeff"))
		if line == "" {
			continue
		}
		if err := take(line, n); err != nil {
			return fault.New(fault.Invalid, "%s:%d: %v", name, n, err)
		}
	}
	if err := scan.Err(); err != nil {
		return fault.New(fault.Invalid, "%s:%d: %v", name, n+1, err)
	}
	return nil
}

// queryOf reads a line of BEIR's queries.jsonl ({"_id": "…", "text": "…"}), or an id, a tab and a
// text.
func queryOf(line string, n int, into *asked) error {
	q := Query{}
	if strings.HasPrefix(line, "{") {
		var body struct {
			ID   string `json:"_id"`
			Text string `json:"text"`
		}
		if err := json.Unmarshal([]byte(line), &body); err != nil {
			return err
		}
		q.ID, q.Text = body.ID, body.Text
	} else {
		id, text, ok := strings.Cut(line, "\t")
		if !ok {
			return fmt.Errorf("neither a JSON object nor an id, a tab and a text")
		}
		q.ID, q.Text = strings.TrimSpace(id), strings.TrimSpace(text)
		if n == 1 && headed(q.ID) {
			return nil
		}
	}
	switch {
	case q.ID == "":
		return fmt.Errorf("the query has no id")
	case q.Text == "":
		return fmt.Errorf("query %q has no text", q.ID)
	case into.seen[q.ID]:
		return fmt.Errorf("query %q is there twice", q.ID)
	}
	into.seen[q.ID] = true
	into.queries = append(into.queries, q)
	return nil
}

// headed reports whether the first field of a file names a column.
func headed(field string) bool {
	switch strings.ToLower(field) {
	case "query-id", "query_id", "qid", "id", "_id":
		return true
	}
	return false
}

// qrelOf reads a line of TREC's qrels (query, iteration, document, relevance) or of BEIR's (query,
// document, relevance, behind a line of titles).
func qrelOf(line string, n int, into map[string]map[string]float64) error {
	f := strings.Fields(line)
	if n == 1 && headed(f[0]) {
		return nil
	}
	if strings.Contains(line, "\t") && len(strings.Split(line, "\t")) == 3 {
		f = strings.Split(line, "\t") // ids may hold spaces
	}
	var query, document, relevance string
	switch len(f) {
	case 3:
		query, document, relevance = f[0], f[1], f[2]
	case 4:
		query, document, relevance = f[0], f[2], f[3]
	default:
		return fmt.Errorf("%d fields, not the 4 of TREC's qrels or the 3 of BEIR's", len(f))
	}
	gain, err := strconv.ParseFloat(strings.TrimSpace(relevance), 64)
	if err != nil || gain-gain != 0 {
		return fmt.Errorf("relevance %q is no number", relevance)
	}
	if gain <= 0 {
		return nil // judged, and not relevant
	}
	if into[query] == nil {
		into[query] = map[string]float64{}
	}
	into[query][document] = gain
	return nil
}
