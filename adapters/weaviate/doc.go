// Package weaviate makes a Weaviate server (1.33 or later) a [search.Store].
//
// # What a collection is in Weaviate
//
// A collection of lanewise is a class with the collection's descriptor as its description.
// An object is a point; its UUID is made of tenant and id, and its properties are the key with
// the version, text and metadata as they came, a digest, and what filters look at. A
// deletion is an object too, without key and vector: it is kept for 24 hours, so that a late
// retry cannot bring the point back. So are the fence, which keeps the highest epoch that the
// collection has seen, and what tells the newest version of any write. A class that was not
// made by this program, in this layout, is fault.Conflict.
//
// Classes of other programs are read, and only read, as Config.External lists them.
//
// # Filters
//
// Weaviate has no filters on metadata as such: its own look at properties of fixed types, cut
// white space off texts, and know no integers above 2^53. So each field of the metadata has up
// to two properties, for its numbers and its texts, made when the first value comes, with the
// values as texts whose byte order is their order; all other values are hashes in one property
// of all fields. All operations are pushed down and answer as [search.Filter.Match] does. Two
// things are fault.Invalid: a comparison by order ($gt and so on) with a text of over 251
// bytes, and one on a field that came when Config.MaxOrdered fields were there already.
//
// # Which way a call goes
//
// Points and queries go over gRPC, by the stubs that the official client is built on: the
// client's own gRPC connection accepts any certificate, cannot be closed, and gives every row
// as a map of boxed values. Answers are read from the wire straight into points. Collections
// go over REST, by the official client. Neither tries anything twice.
//
// # What it promises
//
// On a flat index lists are exact, bit for bit: more rows than asked are read and scored again
// in float64, until no other row can belong to the list. The approximate index takes its
// breadth from the number of rows that are asked for, so a leg's EF asks for as many.
//
// A write is found by every call that comes after it, or after Config.Lag. Weaviate has no
// conditional writes: a write reads the fence and the newest version of any write, the stored
// versions where that is not older, leaves out what is older than they are, and stores the rest;
// writes of one id through one Store exclude each other, also where the caller has left before the
// server was done. Two Stores that write the same id at the same
// time can pass each other: that is why one router writes at a time.
//
// # What it cannot
//
// A batch is stored object by object. Weaviate replaces an object by deleting it and adding
// another one: a point that is overwritten may be missing from an answer of that very moment.
// Lexical legs are fault.Invalid, unless they name their points (Only). Lists are as long as the
// server's QUERY_MAXIMUM_RESULTS. A filter that stands beside a scan is answered by Weaviate for
// the whole rest of the collection on every page.
package weaviate
