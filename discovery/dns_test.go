package discovery

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/lanewise/lanewise/fault"
)

// zone is a DNS server over UDP and TCP at one port.
type zone struct {
	at string

	mu      sync.Mutex
	records map[string][]dnsmessage.Resource // by kind and name
	cut     bool                             // UDP answers are
	code    dnsmessage.RCode
	noise   bool  // a foreign packet comes before every UDP answer
	asked   []int // questions by UDP, by TCP
}

func serveZone(t *testing.T) *zone {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", packets.LocalAddr().String())
	if err != nil {
		t.Skipf("the port is taken for TCP: %v", err)
	}
	z := &zone{at: packets.LocalAddr().String(), records: map[string][]dnsmessage.Resource{}, asked: make([]int, 2)}
	var serving sync.WaitGroup
	serving.Go(func() { z.udp(packets) })
	serving.Go(func() { z.tcp(l) })
	t.Cleanup(func() { _ = packets.Close(); _ = l.Close(); serving.Wait() })
	return z
}

func (z *zone) udp(packets net.PacketConn) {
	buf := make([]byte, 512)
	for {
		n, from, err := packets.ReadFrom(buf)
		if err != nil {
			return
		}
		z.mu.Lock()
		noise := z.noise
		z.mu.Unlock()
		if noise {
			_, _ = packets.WriteTo(z.answer([]byte("\x00\x01"+string(buf[2:n])), 0), from) // of another id
		}
		_, _ = packets.WriteTo(z.answer(buf[:n], 0), from)
	}
}

func (z *zone) tcp(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		var size [2]byte
		_, _ = io.ReadFull(conn, size[:])
		q := make([]byte, binary.BigEndian.Uint16(size[:]))
		_, _ = io.ReadFull(conn, q)
		a := z.answer(q, 1)
		_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
		_ = conn.Close()
	}
}

func (z *zone) answer(packet []byte, by int) []byte {
	var m dnsmessage.Message
	if m.Unpack(packet) != nil {
		return nil
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked[by]++
	q := m.Questions[0]
	m.Response, m.RCode = true, z.code
	if z.cut && by == 0 {
		m.Truncated = true
	} else {
		m.Answers = z.records[key(q.Type, strings.ToLower(q.Name.String()))]
	}
	out, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return out
}

// now changes the server.
func (z *zone) now(change func()) {
	z.mu.Lock()
	defer z.mu.Unlock()
	change()
}

func key(kind dnsmessage.Type, name string) string { return kind.String() + " " + name }

func (z *zone) put(name string, ttl uint32, bodies ...dnsmessage.ResourceBody) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, b := range bodies {
		kind := dnsmessage.TypeA
		switch b.(type) {
		case *dnsmessage.AAAAResource:
			kind = dnsmessage.TypeAAAA
		case *dnsmessage.SRVResource:
			kind = dnsmessage.TypeSRV
		}
		k := key(kind, name)
		z.records[k] = append(z.records[k], dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET, TTL: ttl}, Body: b,
		})
	}
}

func a(last byte) *dnsmessage.AResource { return &dnsmessage.AResource{A: [4]byte{10, 0, 0, last}} }

func srv(target string, port, priority, weight uint16) *dnsmessage.SRVResource {
	return &dnsmessage.SRVResource{Target: dnsmessage.MustNewName(target), Port: port, Priority: priority, Weight: weight}
}

func TestDNS_addresses(t *testing.T) {
	z := serveZone(t)
	z.put("tei.internal.", 60, a(2), a(1), a(1))
	z.put("tei.internal.", 20, &dnsmessage.AAAAResource{AAAA: [16]byte{0xfd, 15: 1}})
	z.now(func() { z.noise = true })
	members, ttl, err := DNS{Name: "TEI.internal", Port: 8080, Servers: []string{z.at}}.lookup(t.Context())
	want := []string{"10.0.0.1:8080", "10.0.0.2:8080", "[fd00::1]:8080"}
	if err != nil || !slices.Equal(addresses(members), want) || ttl != 20*time.Second {
		t.Errorf("got %v for %v, %v; want %v for 20s", members, ttl, err, want)
	}
}

func TestDNS_services(t *testing.T) {
	z := serveZone(t)
	z.now(func() { z.cut = true }) // so TCP is asked
	z.put("_http._tcp.vllm.internal.", 7, srv("b.internal.", 9000, 1, 3), srv("a.internal.", 8000, 0, 5), srv(".", 0, 0, 0))
	members, ttl, err := DNS{Name: "_http._tcp.vllm.internal.", Servers: []string{z.at}}.lookup(t.Context())
	want := []Member{{Address: "a.internal:8000", Weight: 5}, {Address: "b.internal:9000", Weight: 3, Tier: 1}}
	if err != nil || !same(members, want) || ttl != 7*time.Second {
		t.Errorf("got %v for %v, %v", members, ttl, err)
	}
	if !slices.Equal(z.asked, []int{1, 1}) {
		t.Errorf("asked %v times by UDP and TCP, want once each", z.asked)
	}
}

func TestDNS_asksTheNextServer(t *testing.T) {
	sick, well := serveZone(t), serveZone(t)
	sick.now(func() { sick.code = dnsmessage.RCodeServerFailure })
	well.put("tei.internal.", 60, a(1))
	members, _, err := DNS{Name: "tei.internal", Port: 80, Servers: []string{sick.at, well.at}}.lookup(t.Context())
	if err != nil || !slices.Equal(addresses(members), []string{"10.0.0.1:80"}) {
		t.Errorf("got %v, %v", members, err)
	}
}

func TestDNS_saysWhatIsWrong(t *testing.T) {
	z := serveZone(t)
	for _, c := range []struct {
		code dnsmessage.RCode
		name string
		want string
	}{
		{dnsmessage.RCodeNameError, "gone.internal", "look up A gone.internal: server " + z.at + ": answers NameError"},
		{dnsmessage.RCodeSuccess, "empty.internal", "empty.internal has no such records"},
		{dnsmessage.RCodeSuccess, strings.Repeat("long", 100), "name " + strings.Repeat("long", 100)},
	} {
		z.now(func() { z.code = c.code })
		_, _, err := DNS{Name: c.name, Port: 80, Servers: []string{z.at}}.lookup(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

// TestDNS_obeysTheTimeToLive runs the pace in virtual time: each answer is kept for its time to live and
// up to a tenth more, errors for 1 s, 2 s and so on.
func TestDNS_obeysTheTimeToLive(t *testing.T) {
	gone := errors.New("gone")
	steps := []struct {
		ttl  time.Duration
		err  error
		kept time.Duration
	}{
		{20 * time.Second, nil, 20 * time.Second},
		{0, nil, leastTTL},
		{time.Hour, nil, mostTTL},
		{0, gone, time.Second},
		{0, gone, 2 * time.Second},
		{0, gone, 4 * time.Second},
		{0, gone, 8 * time.Second},
		{0, gone, 16 * time.Second},
		{0, gone, 30 * time.Second},
		{0, gone, 30 * time.Second},
		{3 * time.Second, nil, 3 * time.Second},
		{0, gone, time.Second},
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		asked, before := 0, time.Now()
		rewatch(ctx, func(context.Context) ([]Member, time.Duration, error) {
			if asked > 0 {
				kept, want := time.Since(before), steps[asked-1].kept
				if kept < want || kept > want+want/10 {
					t.Errorf("answer %d was kept for %v, want %v and a tenth at most", asked-1, kept, want)
				}
			}
			if asked == len(steps) {
				cancel()
				return nil, 0, nil
			}
			before = time.Now()
			asked++
			return at("a"), steps[asked-1].ttl, steps[asked-1].err
		}, func([]Member, error) {})
		if asked != len(steps) {
			t.Errorf("asked %d times", asked)
		}
	})
}

func addresses(members []Member) (out []string) {
	for _, m := range members {
		out = append(out, m.Address)
	}
	return out
}

// TestFile_isReadAgain replaces the file between two looks.
func TestFile_isReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "members.yaml")
	told := make(chan answer)
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		File{Path: path, every: time.Millisecond}.Watch(ctx, func(members []Member, err error) {
			select {
			case told <- answer{members, err}:
			case <-ctx.Done():
			}
		})
	})
	defer watching.Wait()
	defer cancel()
	for _, s := range []struct{ text, wrong, want string }{
		{"", "no such file", ""},
		{"- address: b:1\n- {name: a, address: 'http://a:2', weight: 2, state: terminating, labels: {model: m}}\n", "", "b:1 http://a:2"},
		{`[{"address": "c:3"}]`, "", "c:3"},
		{"- adr: b:1\n", "adr", ""},
	} {
		if s.text != "" {
			if err := os.WriteFile(path, []byte(s.text), 0o600); err != nil {
				t.Fatal(err)
			}
			<-told // may have been read before
		}
		got := <-told
		if (got.err != nil) != (s.wrong != "") || got.err != nil && (!strings.Contains(got.err.Error(), s.wrong) || !errors.Is(got.err, fault.Unavailable)) {
			t.Errorf("%q: got the error %v, want %q", s.text, got.err, s.wrong)
		}
		if text := strings.Join(addresses(got.members), " "); text != s.want {
			t.Errorf("%q: got %s", s.text, text)
		}
	}
}
