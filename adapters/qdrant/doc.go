// Package qdrant makes a Qdrant server, or a Qdrant cluster behind one address, a
// [search.Store]: a replica of a shard. It speaks gRPC.
//
// # What lies in Qdrant
//
// A collection made by this package has a named vector, a sparse vector beside
// it, a description in the collection's metadata, and points with this payload:
//
//	id, tenant      the key, as it was given
//	ms, seq         the version: milliseconds, and the counter inside one
//	text            the passage
//	meta            the metadata, as the JSON text that was given
//	terms, num, ord what filters look at, made from the metadata
//	words           dimensions of the sparse vector, by which TermStats counts
//	norm            length of the vector, where Qdrant stores it normalised
//	deleted, at     on the mark that a deletion leaves, with its time
//
// The id of a point is its own id where that is a number or a UUID and the point
// has no tenant, else the UUIDv5 of tenant and id. (UUIDs of version 5 are derived
// too, so that no two points can meet in one id.) In a collection that is placed
// by tenant all ids are derived.
//
// # Scores
//
// Qdrant computes in float32: scores are within 1e-5 of the exact ones for vectors
// of usual lengths. Lexical legs are scored again in float64. Raw is Qdrant's figure; the Euclidean distance is its negated
// canonical score. Cosine collections keep vectors at length 1; the length is kept
// beside them, so a vector comes back equal to the one written up to rounding.
//
// # Writes
//
// An older version never overwrites a newer one, deletions included: the upsert
// carries a condition that Qdrant checks in the shard itself, whoever else writes
// and however late an earlier attempt arrives. This needs Qdrant 1.16; Create
// refuses to work with an older one. A deletion leaves a mark without vectors for
// 24 h. What Qdrant does not offer: a batch of several points is not applied as one,
// and a reader may see half of it; epochs are only compared inside one Store.
//
// # Filters
//
// All of them are answered inside Qdrant and exactly as search.Filter.Match does,
// with two limits that are fault.Invalid: an order on strings takes an operand of
// at most 47 bytes, and conditions nest at most 30 deep.
//
// # Seen on Qdrant 1.18.2
//
// A continuous build proves the protocol, by a server in the test's process. On a real
// Qdrant, before and after it had built its indexes, all tests that can run there passed,
// as they did on a cluster of three peers with three shards of two copies behind one address. It keeps payloads
// as JSON and reads long fractions back with another last bit, so what filters order
// by is whole numbers. It takes messages of any size. What it has acknowledged
// it has after a SIGKILL; a loss of power was not tried.
//
// In the cluster, no search fails when a peer is killed other than the one at the
// address, and writes go on with the copies that are left. With Consistency, a write is only confirmed
// while that many copies can be read: of two, a majority is both. Writers that meet on one key may
// then be told to repeat their writes. A custom shard key may take longer than Qdrant waits
// for it (10 s); to create the collection again finishes it.
package qdrant
