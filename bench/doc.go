// Package bench measures: it makes calls at a given rate whether or not the earlier ones were
// answered, counts each latency from the moment at which its call was due, and writes what it
// saw as a table, as JSON and as one page with plots.
//
// A load that waits for answers (a closed loop) slows down with the server and hides its worst
// moments; see Tene, "How NOT to measure latency" (2015). There is none here.
package bench
