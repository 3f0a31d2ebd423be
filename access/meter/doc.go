// Package meter holds callers and tenants to what they may use: rates by the minute, and budgets of tokens and
// money by the day and the month, both of UTC.
//
// A request is reserved before it begins, with an estimate of its tokens, and settled with what it has used
// when it has ended; what an estimate took too much is given back. Money is not known before a request
// has ended: a budget of money is passed by at most what the requests cost that run when it is reached.
//
// Budgets are kept in a file, which is written behind, all changes of a second in one
// transaction. A process that is killed loses at most the use of its last second, and that of the requests under
// way: they are not counted, in the users' favour. What has ended before a clean stop is never lost.
//
// Several processes add up what they use in a [Ledger], in the background: no request waits for it. Between two
// exchanges, a second apart, each grants its part of what was left at the first, also for as long as the ledger is away. Budgets are passed
// by what the others use in a second, rates by a second's worth.
package meter
