// Package jwt knows callers by JSON Web Tokens (RFC 7519) that somebody else issues: an
// identity provider signs them, this program holds the public keys (a JWK set, RFC 7517) in a file.
//
// What is believed of a token is narrow (RFC 8725): an algorithm from a fixed list of asymmetric
// ones, which must also be the one of the key; the key that the token names; one issuer; one
// audience; a time at which it ends. Nothing is fetched over the network.
package jwt
