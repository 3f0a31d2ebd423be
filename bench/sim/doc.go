// Package sim is a model of sharded, replicated search servers, for proving what
// the balancer does to latencies: it drives the real router and balance code in
// memory, at open-loop Poisson load, against servers that queue, stall, slow
// down, die and cancel as real ones do.
//
// Nothing here knows virtual time; the tests run the model in a bubble of
// testing/synctest, where 100,000 attempts take about a second. The draws of
// service times are keyed by seed, query, shard and attempt, so that different
// policies meet the same work, and the pickers' chance by seed, router and shard.
// Two runs at one seed are alike, except where things that happen at the same
// instant compete: hedges of one query for the last tokens of a budget, or the
// router's count of its documents, every 30 s, with a query.
//
// A [Model] is run by [Run]: the servers are in server.go, the routers before them
// in policies.go, what became of it in result.go. Policies that never hedge and
// that lanewise is only compared with are simulated by events, in plain.go;
// tenants.go is another model, of servers with caches.
//
//	go test ./bench/sim -run Goals -v                                  # quick
//	go test ./bench/sim -run Goals -v -timeout 0 -args -full -seed=3   # full size
//
// Flags after -args change the model, so that anyone can try cases that nothing was
// tuned for: -seed -shards -replicas -workers -stall -routers for all tests, -full
// -seeds -queries the size of the goals, and -load -slow -server, which are what the
// goals are about, only TestTry:
//
//	go test ./bench/sim -run Try -v -args -load=0.7 -slow=4 -server=ignore
package sim
