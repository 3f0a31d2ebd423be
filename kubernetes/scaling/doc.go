// Package scaling says how many members a pool needs. [Read] takes what a router knows
// of its pools, a [Tracker] follows the readings of all routers over time and smooths
// them, and [Desired] is the rule, a pure function.
//
// Work is counted in the unit of the lane's load: tokens where models are called, calls
// elsewhere.
package scaling
