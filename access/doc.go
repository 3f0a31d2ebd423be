// Package access knows who may ask for what.
//
// A caller shows a token. A key is a token of 256 random bits of which only the SHA-256 digest is
// kept. Digests that are slow to compute protect words that people choose, which
// can be guessed; a random number of that size cannot, however fast a guess is
// tried, and a digest is computed for every request.
//
// A key has scopes, which say what its caller may do, and may be bound to a tenant: its caller
// then reaches the points of that tenant only.
package access
