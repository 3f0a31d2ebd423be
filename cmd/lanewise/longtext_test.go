package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A text of 100 kB is searched for and asked as any other is, in every mode, whatever it is made of: by its words
// where it shares some with a document, and without a failure where it does not.
func TestSearch_veryLongTexts(t *testing.T) {
	w := serving(t)
	w.run(t, "ingest", "--collection", "docs", folder(t, map[string]string{
		"tides.md": "The moon lifts the sea twice a day.\n", "bread.md": "Flour, water, salt and time.\n",
	})).want(t, exitOK)
	var distinct strings.Builder
	for i := 0; distinct.Len() < 100_000; i++ {
		fmt.Fprintf(&distinct, "the moon lifts word%d ", i)
	}
	for name, c := range map[string]struct {
		text    string
		lexical bool // it shares words with a document
		dense   bool // it is near one
	}{
		"thousands of words": {distinct.String(), true, true},
		"one word":           {strings.Repeat("moon ", 20_000), true, true},
		"no space":           {strings.Repeat("moon", 25_000), false, false},
		"kanji":              {strings.Repeat("月", 33_000), false, false},
		"control characters": {strings.Repeat("moon\x01\x02\u202e ", 12_000), true, false},
	} {
		for mode, near := range map[string]bool{"auto": c.lexical, "hybrid": c.lexical, "lexical": c.lexical, "dense": c.dense} {
			found := post(t, w, "/v1/search", map[string]any{"collection": "docs", "text": c.text, "mode": mode})
			if near && (len(found.Hits) == 0 || !strings.HasPrefix(found.Hits[0].ID, "tides.md")) || mode == "lexical" && !near && len(found.Hits) > 0 {
				t.Errorf("%s, %s: got %+v", name, mode, found.Hits)
			}
		}
		post(t, w, "/v1/answer", map[string]any{"collection": "docs", "question": c.text})
	}
}

// hits are those of a search.
type hits struct{ Hits []struct{ ID string } }

// post sends a body to a server, which must have an answer no longer than the question.
func post(t *testing.T, w world, path string, body any) (found hits) {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(w.env["LANEWISE_URL"]+path, "application/json", bytes.NewReader(data)) //nolint:noctx,gosec // a server of the test
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it is read
	answer, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(answer, &found)
	}
	if err != nil || resp.StatusCode != http.StatusOK || len(answer) > len(data) {
		t.Errorf("%s: status %d, %d bytes, %v: %.300s", path, resp.StatusCode, len(answer), err, answer)
	}
	return found
}
