// Package quota keeps calls within what an upstream allows by the minute, in
// requests and in tokens.
//
// A [Bucket] is refilled continuously. A call reserves an estimate before it is
// made, and settles with the tokens that the upstream reports; what it did not
// use is there for others at once. Where a call is refused, the bucket says
// after which time it would not be. What the upstream itself says is left
// ([Bucket.Clamp], [Headers]) is believed where it is less.
//
// Several routers that share a quota lease slices of it from a [Store], such as
// package redisquota, in the background: no call waits for the store. When the
// store is away, the leases run out within a period, and each router then takes
// the limit divided by the number of routers, and says so.
package quota
