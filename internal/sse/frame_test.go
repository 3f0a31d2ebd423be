package sse_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/lanewise/lanewise/internal/sse"
)

// frames returns the events of a stream as read does, and all bytes that came out.
func frames(r io.Reader, limit int) (events []string, raw []byte, err error) {
	reader := sse.NewFrames(r, limit)
	for {
		f, err := reader.Next()
		if err != nil {
			return events, raw, err
		}
		raw = append(raw, f.Raw...)
		if f.Data != nil {
			events = append(events, f.Name+"|"+string(f.Data))
		}
	}
}

// TestFrames_keepsEveryByte holds that a stream comes out as it went in, comments
// and blank lines included.
func TestFrames_keepsEveryByte(t *testing.T) {
	for _, stream := range []string{
		"data: a\n\ndata: b\n\n", "data: a\r\rdata: b\r\r", "data: a\r\n\r\n: ping\r\n\r\ndata: b\r\n\r\n",
		"\ufeffdata: a\n\n\n\n", ": only\n\n", "event: e\nid: 1\ndata: x\ndata: y\n\ndata:\n\n",
		"data: " + strings.Repeat("long ", 5000) + "\n\ndata: b\n\n",
	} {
		for how, r := range map[string]io.Reader{
			"whole": strings.NewReader(stream), "by bytes": iotest.OneByteReader(strings.NewReader(stream)),
		} {
			want, _ := read(strings.NewReader(stream), 0)
			got, raw, err := frames(r, 0)
			if !errors.Is(err, io.EOF) || !slices.Equal(got, want) || strings.TrimRight(string(raw), "\r\n") != strings.TrimRight(stream, "\r\n") {
				t.Errorf("%s: %.60q came out as %.60q, events %.60q (%v)", how, stream, raw, got, err)
			}
		}
	}
}

func TestFrames_endsWithABlankLine(t *testing.T) {
	for stream, want := range map[string]string{
		"data: a": "data: a\n\n", "data: a\n": "data: a\n\n", "data: a\r": "data: a\r\r", "data: a\r\n": "data: a\r\n\n", "\n\n": "",
	} {
		if _, raw, err := frames(strings.NewReader(stream), 0); string(raw) != want || !errors.Is(err, io.EOF) {
			t.Errorf("%q came out as %q, %v; want %q", stream, raw, err, want)
		}
	}
}

func TestFrames_tellsWhatIsWaiting(t *testing.T) {
	r := sse.NewFrames(strings.NewReader("data: a\n\ndata: b\n\ndata: c\n"), 0)
	for _, more := range []bool{true, false, false} {
		if f, err := r.Next(); err != nil || f.More != more {
			t.Errorf("%q: more %v, %v; want %v", f.Raw, f.More, err, more)
		}
	}
}

func TestFrames_doesNotWaitBehindCarriageReturn(t *testing.T) {
	r, w := io.Pipe()
	go func() { _, _ = w.Write([]byte("data: a\r\n\r")) }() // and no byte more until the event was read
	f, err := sse.NewFrames(r, 0).Next()
	if err != nil || string(f.Data) != "a" {
		t.Errorf("event %q, %v", f.Data, err)
	}
	_ = w.Close()
}

func TestFrames_broken(t *testing.T) {
	r := io.MultiReader(strings.NewReader("data: a\n\ndata: b"), iotest.ErrReader(io.ErrUnexpectedEOF))
	got, _, err := frames(r, 0)
	if !slices.Equal(got, []string{"|a"}) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("events %q, %v: half an event must not come out", got, err)
	}
}

func TestFrames_bounded(t *testing.T) {
	for _, stream := range []string{"data: " + strings.Repeat("x", 20_000), strings.Repeat("\n", 20_000), strings.Repeat("data: x\n", 2000)} {
		if got, _, err := frames(strings.NewReader(stream), 100); !errors.Is(err, sse.ErrTooLong) || len(got) > 0 {
			t.Errorf("%.20q: %v, %d events", stream, err, len(got))
		}
	}
}

// FuzzFrames compares with Reader, which works byte by byte.
func FuzzFrames(f *testing.F) {
	for _, s := range []string{"data: a\n\n", "event: e\r\ndata: a\r\n\r\n", "\ufeff:\n\ndata\r\r", "data: 日\ndata:b", "\r\n\rdata:x\r\n\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		want, err := read(bytes.NewReader(stream), 0)
		for _, r := range []io.Reader{bytes.NewReader(stream), iotest.OneByteReader(bytes.NewReader(stream))} {
			got, raw, err2 := frames(r, 0)
			if !slices.Equal(got, want) || !errors.Is(err2, err) {
				t.Fatalf("events %q (%v), want %q (%v)", got, err2, want, err)
			}
			if cut := bytes.TrimRight(raw, "\r\n"); !bytes.HasPrefix(stream, cut) || len(bytes.Trim(stream[len(cut):], "\r\n")) > 0 {
				t.Fatalf("%q came out as %q", stream, raw)
			}
		}
	})
}

func BenchmarkFrames(b *testing.B) {
	event := `data: {"id":"x","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"word"},"finish_reason":null}]}` + "\n\n"
	stream := strings.Repeat(event, 1000)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		r := sse.NewFrames(strings.NewReader(stream), 0)
		for {
			if _, err := r.Next(); err != nil {
				break
			}
		}
	}
}
