// Package static embeds texts with a small model that is compiled into the
// binary: no network, no C code, no start-up time to speak of.
//
// The model has one vector for each of 29,525 word pieces. It was distilled from
// the transformer all-MiniLM-L6-v2 in the way of model2vec (S. Tulkens and
// T. van Dongen, 2024): the transformer is run once on every word piece, the
// results are reduced to 256 dimensions by principal components and weighted by
// smooth inverse frequency (S. Arora, Y. Liang and T. Ma, ICLR 2017). The vector of
// a text is the sum of the vectors of its word pieces, brought to length 1. The
// order of the words plays no part.
//
// The numbers are stored as 8-bit integers with a 16-bit weight per row and are
// summed as integers, so a text has the same vector, bit for bit, on every
// processor.
//
// The folder distil holds the scripts that make the model and the recorded
// answers that the tests compare with.
package static
