package sse_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/internal/sse"
)

// read returns the events of a stream as "name|data", and what it ended with.
func read(r io.Reader, limit int) ([]string, error) {
	var events []string
	reader := sse.NewReader(r, limit)
	for {
		e, err := reader.Next()
		if err != nil {
			return events, err
		}
		events = append(events, e.Name+"|"+string(e.Data))
	}
}

func TestNext(t *testing.T) {
	for _, c := range []struct {
		name, stream string
		want         []string
	}{
		{"nothing", "", nil},
		{"newlines", "data: a\n\ndata: b\n\n", []string{"|a", "|b"}},
		{"carriage returns", "data: a\r\rdata: b\r\r", []string{"|a", "|b"}},
		{"both", "data: a\r\n\r\ndata: b\r\n\r\n", []string{"|a", "|b"}},
		{"mixed", "data: a\r\n\ndata: b\n\r\n", []string{"|a", "|b"}},
		{"no space after the colon", "data:a\n\n", []string{"|a"}},
		{"only one space is dropped", "data:  a\n\n", []string{"| a"}},
		{"several data lines", "data: {\ndata: }\n\n", []string{"|{\n}"}},
		{"empty data lines", "data\ndata:\n\n", []string{"|\n"}},
		{"empty data", "data:\n\n", []string{"|"}},
		{"comments", ": keep-alive\n\n:\ndata: a\n: b\n\n", []string{"|a"}},
		{"other fields", "id: 7\nretry: 10\nfoo: bar\nbaz\ndata: a\n\n", []string{"|a"}},
		{"name", "event: error\ndata: {}\n\ndata: a\n\n", []string{"error|{}", "|a"}},
		{"a name without data is forgotten", "event: ping\n\ndata: a\n\n", []string{"|a"}},
		{"a colon in data", "data: a: b\n\n", []string{"|a: b"}},
		{"byte order mark", "\ufeffdata: a\n\ndata: \ufeff\n\n", []string{"|a", "|\ufeff"}},
		{"no blank line at the end", "data: a\n\ndata: b\n", []string{"|a", "|b"}},
		{"no newline at the end", "data: a\n\ndata: b", []string{"|a", "|b"}},
		{"comment at the end", "data: a\n\n: bye", []string{"|a"}},
		{"wide characters", "data: 日本語 🚦\n\n", []string{"|日本語 🚦"}},
		{"blank lines between", "\n\n\ndata: a\n\n\n\n", []string{"|a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{
				"whole": strings.NewReader(c.stream), "by bytes": iotest.OneByteReader(strings.NewReader(c.stream)),
			} {
				got, err := read(r, 0)
				if diff := cmp.Diff(c.want, got); diff != "" || !errors.Is(err, io.EOF) {
					t.Errorf("%s: %v\n%s", how, err, diff)
				}
			}
		})
	}
}

func TestNext_doesNotWaitBehindCarriageReturn(t *testing.T) {
	r, w := io.Pipe()
	go func() {
		_, _ = w.Write([]byte("data: a\r\r")) // and no byte more until the event was read
	}()
	e, err := sse.NewReader(r, 0).Next()
	if err != nil || string(e.Data) != "a" {
		t.Errorf("event %q, %v", e.Data, err)
	}
	_ = w.Close()
}

func TestNext_brokenStream(t *testing.T) {
	r := io.MultiReader(strings.NewReader("data: a\n\ndata: b"), iotest.ErrReader(io.ErrUnexpectedEOF))
	got, err := read(r, 0)
	if !slices.Equal(got, []string{"|a"}) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("events %q, %v: half an event must not come out", got, err)
	}
}

func TestNext_bounded(t *testing.T) {
	for name, stream := range map[string]string{
		"line":    "data: " + strings.Repeat("x", 200) + "\n\n",
		"event":   strings.Repeat("data: 123456789\n", 20) + "\n",
		"endless": strings.Repeat("x", 200),
	} {
		if got, err := read(strings.NewReader(stream), 100); !errors.Is(err, sse.ErrTooLong) || len(got) > 0 {
			t.Errorf("%s: events %q, %v", name, got, err)
		}
	}
	if got, err := read(strings.NewReader("data: "+strings.Repeat("x", 94)+"\n\n"), 100); len(got) != 1 || !errors.Is(err, io.EOF) {
		t.Errorf("at the limit: events %q, %v", got, err)
	}
}

// FuzzNext holds that no stream makes the reader panic or exceed its bound, that
// it does not depend on how bytes arrive, and that the line ending does not matter.
func FuzzNext(f *testing.F) {
	for _, s := range []string{"data: a\n\n", "event: e\r\ndata: a\r\n\r\n", "\ufeff:\n\ndata\r\r", "data: 日\ndata:b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		const limit = 64
		whole, err := read(bytes.NewReader(stream), limit)
		if !errors.Is(err, io.EOF) && !errors.Is(err, sse.ErrTooLong) {
			t.Fatalf("ended with %v", err)
		}
		for _, e := range whole {
			if _, data, _ := strings.Cut(e, "|"); len(data) > 2*limit {
				t.Fatalf("data of %d bytes, limit %d", len(data), limit)
			}
		}
		bytewise, err2 := read(iotest.OneByteReader(bytes.NewReader(stream)), limit)
		if !slices.Equal(whole, bytewise) || errors.Is(err, io.EOF) != errors.Is(err2, io.EOF) {
			t.Fatalf("whole %q (%v), byte by byte %q (%v)", whole, err, bytewise, err2)
		}
		if bytes.IndexByte(stream, '\r') >= 0 {
			return
		}
		crlf, _ := read(bytes.NewReader(bytes.ReplaceAll(stream, []byte("\n"), []byte("\r\n"))), limit)
		if !slices.Equal(whole, crlf) {
			t.Fatalf("with \\n %q, with \\r\\n %q", whole, crlf)
		}
	})
}

func BenchmarkNext(b *testing.B) {
	event := `data: {"id":"x","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"word"},"finish_reason":null}]}` + "\n\n"
	stream := strings.Repeat(event, 1000)
	b.SetBytes(int64(len(stream)))
	for b.Loop() {
		r := sse.NewReader(strings.NewReader(stream), 0)
		for {
			if _, err := r.Next(); err != nil {
				break
			}
		}
	}
}

func ExampleReader() {
	r := sse.NewReader(strings.NewReader(": hello\n\nevent: note\ndata: one\ndata: two\n\n"), 0)
	for {
		e, err := r.Next()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %q\n", e.Name, e.Data)
	}
	// Output:
	// note "one\ntwo"
	// EOF
}
