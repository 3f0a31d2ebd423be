// Package limit finds how many calls one member of a pool should have at a time.
//
// A [Limiter] watches how long the member's calls take. While they take about as
// long as they do at the best of times, it lets more in, if more want in; once
// they take a multiple of that, calls queue at the member, where nobody can take
// them back, and it lets in fewer. What is too much then waits in front of the
// pool, and goes to whichever member has room first.
package limit
