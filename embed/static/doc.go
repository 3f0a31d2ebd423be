// Package static embeds texts with a small model that is compiled into the
// binary: no network, no C code, no start-up time to speak of.
//
// The model has one vector for each of 29,525 word pieces. It was distilled from
// the transformer all-MiniLM-L6-v2: the transformer is run once on every word
// piece, as model2vec does (S. Tulkens and T. van Dongen, 2024), the results are
// fitted to what it says of 24,000 sentences, and 256 principal components are
// kept. The vector of a text is the sum of the vectors of its word pieces, brought
// to length 1. The order of the words plays no part. It is a model for English;
// of other languages it knows little more than the letters.
//
// The numbers are stored as 8-bit integers with a 16-bit weight per row and are
// summed as integers, so a text has the same vector, bit for bit, on every
// processor.
//
// The folder distil holds the scripts that make the model and the recorded
// answers that the tests compare with. On the questions of internal/quality the
// model finds 80 % of what the transformer finds.
package static
