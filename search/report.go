package search

import "time"

// Report says how an answer came about, and what it lacks. An answer is
// complete, or its report names what is missing and why.
type Report struct {
	Complete       bool
	Coverage       float64 // share of the asked documents that the answering shards hold, 0 to 1
	ShardsAsked    int
	ShardsAnswered int
	Missing        []Missing
	RowsAsked      int // rows requested from shards, refills included
	RowsSaved      int // rows that asking every shard for all k would have cost beyond RowsAsked
	Refills        int // shards that were asked a second time
	Dropped        int // rows dropped: NaN or infinite scores, foreign or misplaced points
	Vanished       int // hits whose payload was deleted while the query ran
	Mode           string
	Reranked       int    // candidates whose order a reranker decided on
	RerankSkipped  string // why the reranking that was asked for did not take place
	Hedges         int
	Failovers      int
	Took           time.Duration
	Epoch          uint64
}

// Missing is a shard without an answer.
type Missing struct {
	Shard  string
	Reason Reason
	Detail string // the error's text
}

// Reason is why a shard's part of an answer is missing.
type Reason string

// The reasons.
const (
	TimedOut Reason = "timeout"     // no answer within the shard's slice of the deadline
	Failed   Reason = "unavailable" // every replica failed
	Shed     Reason = "overloaded"  // every replica was too busy
	Mismatch Reason = "mismatch"    // the shard finds invalid or lacks what other shards accept
	Lexical  Reason = "lexical"     // the shard cannot answer the lexical leg
)
