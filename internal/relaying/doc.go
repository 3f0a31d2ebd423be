// Package relaying measures what it costs to pass a model call on, beside a bare
// httputil.ReverseProxy: the CPU of a whole answer and of a chunk of a stream, and
// the memory of a stream that is open. Each proxy is a process of its own, this
// test's binary run again, so that its CPU can be told from the engine's and the
// client's. Other gateways take part where LANEWISE_RELAY_PEERS names them; see
// scripts/gateways/run.
package relaying
