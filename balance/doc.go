// Package balance sends each call to the member of a pool that will answer it
// soonest, and covers for a member that fails or is slow: it picks, fails over
// and hedges, within budgets.
//
// A [Lane] is one kind of upstream (shard replicas, embedding upstreams, model
// instances); it knows how long answers take and bounds the extra work. A [Pool]
// is a set of interchangeable members of a lane, such as the replicas of one
// shard. [Do] calls a function on one member of a pool, then on others while it
// is slow or failing, and returns the first answer; [Each] makes many such calls
// side by side, and [Open] is for answers that stay open, such as streams. Each
// attempt holds a lease, the load that it puts on its member, and gives it back
// exactly once.
//
// Everything here is safe for concurrent use, except where it says otherwise.
package balance
