//go:build linux

package relaying_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/httpapi"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/openai"
)

// This binary runs again as a proxy where these are set.
const (
	kindVariable   = "LANEWISE_RELAY_KIND" // lanewise or reverseproxy
	engineVariable = "LANEWISE_RELAY_ENGINE"
)

func TestMain(m *testing.M) {
	if kind := os.Getenv(kindVariable); kind != "" {
		if err := serve(kind, os.Getenv(engineVariable)); err != nil {
			fmt.Fprintln(os.Stderr, "proxy:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serve is a proxy until its standard input ends, with the process that started it.
func serve(kind, engine string) error {
	handler, err := proxy(kind, engine)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.HandleFunc("/used", used)
	return http.Serve(l, mux) //nolint:gosec // for measurements on this machine
}

// proxy returns the handler of a kind.
func proxy(kind, engine string) (http.Handler, error) {
	if kind == "reverseproxy" {
		target, err := url.Parse(engine)
		if err != nil {
			return nil, err
		}
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = 256
		p := httputil.NewSingleHostReverseProxy(target)
		p.Transport = transport
		return p, nil
	}
	provider, err := openai.New(openai.Config{URL: engine, Model: "m"})
	if err != nil {
		return nil, err
	}
	lane, err := llm.New(llm.Config{Upstreams: []llm.Upstream{{Name: "a", Provider: provider}}})
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "relaying")
	if err != nil {
		return nil, err
	}
	store, err := local.Open(local.Config{Path: dir})
	if err != nil {
		return nil, err
	}
	return httpapi.New(httpapi.Config{Store: store, Models: models{lane}})
}

type models struct{ *llm.Generator }

func (models) Names() []string { return []string{"m"} }

// used tells the CPU that the process has used so far, in ns.
func used(w http.ResponseWriter, _ *http.Request) {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	_, _ = fmt.Fprint(w, syscall.TimevalToNsec(u.Utime)+syscall.TimevalToNsec(u.Stime))
}

// contestant is a proxy under measurement.
type contestant struct {
	name string
	url  string
	pid  string
	cpu  func(tb testing.TB) time.Duration // used so far
}

// start runs this binary as a proxy.
func start(tb testing.TB, kind, engine string) contestant {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), os.Args[0]) //nolint:gosec // this binary
	cmd.Env = append(os.Environ(), kindVariable+"="+kind, engineVariable+"="+engine)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		tb.Fatal(err)
	}
	c := contestant{name: kind, url: "http://" + strings.TrimSpace(address), pid: strconv.Itoa(cmd.Process.Pid)}
	c.cpu = func(tb testing.TB) time.Duration {
		tb.Helper()
		return time.Duration(c.ask(tb, "/used"))
	}
	return c
}

// ask reads a number.
func (c contestant) ask(tb testing.TB, path string) int64 {
	tb.Helper()
	resp, err := http.Get(c.url + path) //nolint:gosec,noctx // as started
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// peers are other gateways that run already: NAME=URL=PID, separated by spaces.
func peers(tb testing.TB) (out []contestant) {
	tb.Helper()
	for text := range strings.FieldsSeq(os.Getenv("LANEWISE_RELAY_PEERS")) {
		parts := strings.Split(text, "=")
		if len(parts) != 3 {
			tb.Fatalf("LANEWISE_RELAY_PEERS: %q is not NAME=URL=PID", text)
		}
		out = append(out, contestant{name: parts[0], url: parts[1], pid: parts[2], cpu: func(tb testing.TB) time.Duration {
			tb.Helper()
			return processCPU(tb, parts[2])
		}})
	}
	return out
}

// processCPU reads what a process has used, in hundredths of a second.
func processCPU(tb testing.TB, pid string) time.Duration {
	tb.Helper()
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ") // behind the name, which may hold anything
	fields := strings.Fields(rest)
	var ticks int64
	for _, at := range []int{11, 12} { // utime, stime
		n, err := strconv.ParseInt(fields[at], 10, 64)
		if err != nil {
			tb.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// resident reads the memory of a process that is in use, in bytes.
func (c contestant) resident(tb testing.TB) int64 {
	tb.Helper()
	text, err := os.ReadFile("/proc/" + c.pid + "/status")
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return n << 10
}
