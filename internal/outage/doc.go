// Package outage holds the tests of what a router does while the servers behind it
// die, hang, return, or are not what they should be. The servers are real
// processes: lanewise itself, run again from the test's own binary, a PostgreSQL
// of the test's own where LANEWISE_TEST_POSTGRES shows that there is one, and a Qdrant
// where LANEWISE_TEST_QDRANT_BINARY names its program. The benchmarks measure how long a search takes across such an event.
package outage
