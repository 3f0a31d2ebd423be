//go:build linux

// Package relay measures what it costs to pass a chat completion on: the CPU time of a request, the latency that is added, the
// memory. lanewise stands beside nginx, HAProxy, a bare httputil.ReverseProxy, vllm-router, sglang-router and LiteLLM,
// whichever are installed, all before one stub of an engine that answers at once.
//
// Every relay is a process of its own, with one worker where it has workers, so that its CPU time can be read from the
// system, which must be Linux.
package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/bench/peer"
	"github.com/lanewise/lanewise/fault"
)

// Relay is a program that passes calls on.
type Relay struct {
	Name string
	// Note says with which settings it runs.
	Note string
	// Tell is the command that prints its version; empty: it has this program's.
	Tell string
	// Start returns the command that listens on an address and passes on to an engine. Files that it needs belong into dir.
	// fault.NotFound: it is not installed.
	Start func(ctx context.Context, dir, address, engine string) (*exec.Cmd, error)
}

// About is the version and the settings of a relay.
func (r Relay) About(ctx context.Context) string {
	f := strings.Fields(r.Tell)
	if len(f) == 0 {
		return r.Note
	}
	version := peer.Version(ctx, f...)
	if version == "" {
		return r.Note + ", of an unknown version"
	}
	return r.Note + "; " + version
}

// answer is what the stub says: 500 bytes.
func answer() []byte {
	const format = `{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"%s"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":50,"total_tokens":60}}`
	return fmt.Appendf(nil, format, strings.Repeat("word ", (500-len(format)+2)/5))
}

// question is what the clients ask.
const question = `{"model":"m","messages":[{"role":"user","content":"What is a lane, and which one moves?"}]}`

// Engine starts the stub and returns its address.
func Engine(ctx context.Context) (address string, stop func(), err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("the stub of an engine: %w", err)
	}
	body := answer()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }) // whatever is asked for its health
	mux.HandleFunc("/v1/models", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"object":"list","data":[{"id":"m","object":"model"}]}`)
	})
	mux.HandleFunc("/v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a body that breaks off is the client's affair
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(l) // until it is closed
	}()
	return l.Addr().String(), func() { _ = s.Close(); <-ended }, nil
}

// Result is what a relay cost in one round.
type Result struct {
	bench.Result
	CPU    time.Duration // of the relay, for each request; 0 without a relay
	Memory int64         // bytes that were resident at the end
}

// Figures are those of the load, with the CPU time and the memory.
func (r Result) Figures() []bench.Figure {
	var figures []bench.Figure
	if r.CPU > 0 {
		figures = append(figures,
			bench.Figure{Name: "CPU", Unit: "µs", Better: bench.Lower, Rounds: []float64{float64(r.CPU) / 1e3}},
			bench.Figure{Name: "a core", Unit: "1/s", Better: bench.Higher, Rounds: []float64{1e9 / float64(r.CPU)}},
			bench.Figure{Name: "memory", Unit: "MB", Better: bench.Lower, Rounds: []float64{float64(r.Memory) / 1e6}})
	}
	return append(figures, r.Result.Figures()...)
}

// Direct loads the engine without a relay.
func Direct(ctx context.Context, l bench.Load, engine string) (Result, error) {
	loaded, err := load(ctx, l, engine)
	return Result{Result: loaded}, err
}

// Running is a relay that has been started.
type Running struct {
	address string
	process *peer.Process
	dir     string
}

// Run starts a relay before an engine, and returns when it passes calls on.
func (r Relay) Run(ctx context.Context, engine string) (_ *Running, err error) {
	up := &Running{}
	if up.address, err = peer.FreeAddress(ctx); err != nil {
		return nil, err
	}
	if up.dir, err = os.MkdirTemp("", "lanewise-relay-"); err != nil {
		return nil, err
	}
	command, err := r.Start(ctx, up.dir, up.address, engine)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(up.dir))
	}
	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	up.process, err = peer.Start(ctx, command, func(ctx context.Context) error { return ask(ctx, client, up.address) })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", r.Name, err), os.RemoveAll(up.dir))
	}
	return up, nil
}

// Stop ends the relay with everything that it has started.
func (r *Running) Stop() {
	r.process.Stop()
	_ = os.RemoveAll(r.dir)
}

// Measure loads the relay.
func (r *Running) Measure(ctx context.Context, l bench.Load) (Result, error) {
	before, err := used(r.process.Pid())
	if err != nil {
		return Result{}, err
	}
	loaded, err := load(ctx, l, r.address)
	if err != nil {
		return Result{}, err
	}
	after, err := used(r.process.Pid())
	if err != nil {
		return Result{}, err
	}
	if loaded.Calls() == 0 {
		return Result{Result: loaded}, nil
	}
	// The CPU time has the warm-up in it, whose calls are not recorded.
	calls := float64(loaded.Calls()) * (l.Warmup + l.Duration).Seconds() / l.Duration.Seconds()
	return Result{Result: loaded, CPU: time.Duration(float64(after.cpu-before.cpu) / calls), Memory: after.memory}, nil
}

// connections that the clients keep open.
const connections = 64

func load(ctx context.Context, l bench.Load, address string) (bench.Result, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: 0, DisableCompression: true}
	client := &http.Client{Transport: transport}
	defer transport.CloseIdleConnections()
	return l.Run(ctx, func(ctx context.Context, _ bench.Turn) error { return ask(ctx, client, address) })
}

func ask(ctx context.Context, client *http.Client, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/v1/chat/completions", strings.NewReader(question))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer sk-none")
	resp, err := client.Do(req)
	if err != nil {
		return fault.Wrap(fault.Unavailable, "ask", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return fault.Wrap(fault.Unavailable, "read the answer", err)
	case resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte("word word")):
		return fault.New(fault.Unavailable, "the answer is %s, %.100q", resp.Status, body)
	}
	return nil
}

// usage is what a process and its children have used.
type usage struct {
	cpu    time.Duration
	memory int64
}

// tick is the unit of CPU times in /proc; USER_HZ is 100 on all architectures that Go runs on.
const tick = 10 * time.Millisecond

// used adds up a process and all below it.
func used(pid int) (usage, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return usage{}, fmt.Errorf("the CPU time of a relay: %w", err)
	}
	// The name, which may hold spaces, is in brackets; see proc(5).
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(f) < 22 {
		return usage{}, fault.New(fault.Unavailable, "/proc/%d/stat is cut off", pid)
	}
	var n [3]int64
	for i, at := range []int{11, 12, 21} { // utime, stime, rss
		if n[i], err = strconv.ParseInt(f[at], 10, 64); err != nil {
			return usage{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
	}
	u := usage{cpu: time.Duration(n[0]+n[1]) * tick, memory: n[2] * int64(os.Getpagesize())}
	for _, child := range children(pid) {
		if below, err := used(child); err == nil { // else it has ended
			u.cpu, u.memory = u.cpu+below.cpu, u.memory+below.memory
		}
	}
	return u, nil
}

func children(pid int) (out []int) {
	tasks, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "children"))
	for _, task := range tasks {
		text, _ := os.ReadFile(task) // a thread that has ended has none
		for f := range strings.FieldsSeq(string(text)) {
			if n, err := strconv.Atoi(f); err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}
