// Package admit decides which calls are worked on, which wait and which are
// refused, before anything has been spent on them.
//
// A [Gate] lets in as many calls at a time as can be answered within a target
// latency; it finds that number by itself. Further calls wait in a queue that is
// fair between tenants and bounded in calls and bytes. While a tenant's calls do
// not drain, its newest goes first and older ones are refused soon, as the ones
// whose clients are most likely gone. A refusal is fault.Overloaded and says
// after which time the backlog will be gone.
package admit
