// Package local is the embedded store: a search.Store in one directory of this
// machine that needs nothing beside it. It is exact, durable and meant for up to
// a few million vectors.
//
// # Answers
//
// Every search scans every vector of its tenant. The scan itself runs in
// float32; whatever comes within its rounding margin of the last place is scored
// again in float64, in a fixed order, and ties are cut by id. The answers are
// therefore equal bit for bit on every processor and at any number of shards.
//
// Lexical legs go by an inverted index on the sparse vectors, in memory, and are exact
// as well: their scores are sums in float64 in the order of the terms.
//
// # Reads and writes
//
// Vectors, ids and versions are in memory, texts and metadata on disk. Reads
// work on an immutable snapshot and never wait for a write. A write is
// acknowledged after its transaction was synced to disk; writes that arrive
// while another one is being synced share the next transaction. An older version
// never overwrites a newer one, and a deletion is remembered for 24 hours, so
// that a late retry cannot bring a point back.
//
// # The file
//
// A store keeps everything in one bbolt file, lanewise.db. Every record has a
// checksum and every collection a sum over its records; both are verified when
// the store is opened, together with the structure of the file, so that a
// damaged file is reported by name instead of being served. A commit that a loss
// of power interrupts leaves the one before it in place: bbolt writes its pages
// beside the old ones and then one sector that names them.
//
// The file never shrinks, but room in it is used again. Vectors and ids need about
// 4 bytes a dim and 130 bytes a point of memory, sparse vectors 9 bytes an entry and
// 80 bytes a term; opening a store reads the documents that have them. See [Config] for
// the index on metadata and the limit, and [Store.Memory] for the sum.
package local
