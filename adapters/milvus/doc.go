// Package milvus makes a Milvus server (2.3 or later) a [search.Store].
//
// # What a collection is in Milvus
//
// A collection of lanewise is a collection of Milvus with these fields: pk, tenant,
// id and text as varchar, version as int64, vector as float vector, meta as varchar
// with the metadata byte for byte, filter as JSON with what filters ask for (see
// below), sparse as varchar, kind as int8 (1: the zero vector on cosine, 2: no
// dense vector, 3: no point but the fence, which keeps the highest epoch). The primary key is made of tenant and id in such a way that its byte order is the
// order of the keys. The descriptor of the collection is kept as its description.
// Names with characters that Milvus does not take are escaped.
//
// # Filters
//
// Milvus' own comparisons on JSON differ from the truth table of [search.Filter]: they
// see no elements of arrays on the way to a field, and read large integers as floats. So
// the values of every field are stored a second time, as strings whose byte order is the
// order of the values, and a filter becomes an expression on those. It is pushed down
// whole and gives the same answer as [search.Filter.Match]; only a comparison by order
// ($gt and so on) with a string of over 251 bytes is refused as fault.Invalid.
//
// # Limits
//
// A text, the metadata, and the packed sparse vector of a point take at most 65,535
// bytes each, tenant and id together about as many, a list at most 16,384 rows. What is
// over a limit, or is not UTF-8, is fault.Invalid. Milvus 2.3 has no sparse index: a
// lexical leg is fault.Invalid, unless it names its points (Only).
//
// # Versions and consistency
//
// Milvus has no conditional writes. A write reads the stored versions, leaves out what is
// older, and stores the rest; writes of one id through one Store exclude each other, also
// where the caller has left before the server was done. Two Stores that write the same
// id at the same time can pass each other: that is why one router writes at a time.
// Deletions leave no version behind, so a retry that comes more than twice
// Config.Lag after a deletion can bring a point back. A batch is checked as a whole
// before anything is written, but the server applies it in parts.
//
// With the default consistency (Bounded) a write is found by every search at the latest
// after the lag that Written states.
package milvus
