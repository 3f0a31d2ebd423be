package discovery

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/lanewise/lanewise/fault"
)

// The standard library's resolver tells no time to live, so the question is put here.

// question is one packed DNS question.
type question struct {
	dnsmessage.Question
	id     uint16
	packed []byte
}

func newQuestion(name string, kind dnsmessage.Type) (*question, error) {
	full, err := dnsmessage.NewName(strings.TrimSuffix(name, ".") + ".")
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "name "+name, err)
	}
	q := &question{Question: dnsmessage.Question{Name: full, Type: kind, Class: dnsmessage.ClassINET}, id: uint16(rand.N(1 << 16))} //nolint:gosec // that it fits
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: q.id, RecursionDesired: true}, Questions: []dnsmessage.Question{q.Question}}
	if q.packed, err = m.Pack(); err != nil {
		return nil, fault.Wrap(fault.Invalid, "name "+name, err)
	}
	return q, nil
}

// put asks one server: by UDP, and by TCP where the answer does not fit.
func (q *question) put(ctx context.Context, server string) ([]dnsmessage.Resource, error) {
	for _, network := range []string{"udp", "tcp"} {
		m, err := q.exchange(ctx, network, server)
		switch {
		case err != nil:
			return nil, err
		case m.Truncated && network == "udp":
			continue
		case m.RCode != dnsmessage.RCodeSuccess:
			return nil, fault.New(fault.Unavailable, "answers %s", strings.TrimPrefix(m.RCode.String(), "RCode"))
		}
		return m.Answers, nil
	}
	return nil, fault.New(fault.Unavailable, "its answer is cut even over TCP")
}

func (q *question) exchange(ctx context.Context, network, server string) (*dnsmessage.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, dnsPatience)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // all of it was read
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if network == "tcp" {
		return q.overTCP(conn)
	}
	if _, err := conn.Write(q.packed); err != nil {
		return nil, err
	}
	answer := make([]byte, 1<<16)
	for {
		n, err := conn.Read(answer)
		if err != nil {
			return nil, err
		}
		if m, err := q.read(answer[:n]); err == nil { // else somebody else's packet
			return m, nil
		}
	}
}

// overTCP puts the question with its length before it, RFC 1035 section 4.2.2.
func (q *question) overTCP(conn net.Conn) (*dnsmessage.Message, error) {
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(q.packed))), q.packed...)); err != nil { //nolint:gosec // at most 271
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	answer := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return nil, err
	}
	return q.read(answer)
}

var errForeign = errors.New("is no answer to the question")

func (q *question) read(packet []byte) (*dnsmessage.Message, error) {
	var m dnsmessage.Message
	if err := m.Unpack(packet); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if m.ID != q.id || !m.Response || len(m.Questions) != 1 || m.Questions[0].Type != q.Type || !strings.EqualFold(m.Questions[0].Name.String(), q.Name.String()) {
		return nil, errForeign
	}
	return &m, nil
}

// resolvers are the servers that this machine asks.
func resolvers() []string {
	f, err := os.Open("/etc/resolv.conf")
	if err != nil {
		return nil
	}
	defer f.Close() //nolint:errcheck // it was only read
	var out []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) > 1 && words[0] == "nameserver" {
			out = append(out, net.JoinHostPort(words[1], "53"))
		}
	}
	return out
}
