package shardmap_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

// full is a map with everything in it.
func full(tb testing.TB) *shardmap.Map {
	tb.Helper()
	m := newMap(tb, []shardmap.Shard{{Name: "a", Weight: 2, Replicas: []string{"r0", "r1"}}, {Name: "b"}})
	m = withCollection(tb, m, collection("docs", search.Placement{By: search.ByTenant, Spread: 2}))
	m = withCollection(tb, m, search.Collection{
		Name: "more", Dims: 256, Metric: search.Euclidean, Space: "static-256", StrictSpace: true, Language: "en", Lexical: true, AvgLen: 80,
		Placement: search.Placement{By: search.ByKey, Key: "a.b"},
	})
	m, err := m.WithAlias("live", "docs")
	if err != nil {
		tb.Fatal(err)
	}
	m, err = m.WithOverrides("docs", map[string][]string{"big": {"b", "a"}})
	if err != nil {
		tb.Fatal(err)
	}
	m, err = m.WithCanary("static-256", []float32{0.5, -0.25})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func TestEncode_roundTrip(t *testing.T) {
	m := full(t)
	data, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := shardmap.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := got.Encode()
	if !bytes.Equal(data, again) {
		t.Errorf("encodes differently after a round trip:\n%s\n%s", data, again)
	}
	if got.Epoch() != m.Epoch() || cmp.Diff(m.Collections(), got.Collections()) != "" || cmp.Diff(m.Shards(), got.Shards()) != "" ||
		cmp.Diff(m.Aliases(), got.Aliases()) != "" || cmp.Diff(m.Overrides("live"), got.Overrides("live")) != "" ||
		!slices.Equal(got.Canary("static-256"), []float32{0.5, -0.25}) {
		t.Errorf("got %+v", got)
	}
}

// A field that somebody adds to the descriptor must be stored, too.
func TestEncode_storesEveryFieldOfACollection(t *testing.T) {
	m := full(t)
	c, _ := m.Collection("more")
	var zero []string
	for _, v := range []reflect.Value{reflect.ValueOf(c), reflect.ValueOf(c.Placement)} {
		for i := range v.NumField() {
			if v.Field(i).IsZero() && v.Type().Field(i).Name != "Spread" {
				zero = append(zero, v.Type().Field(i).Name)
			}
		}
	}
	if len(zero) > 0 {
		t.Errorf("the round trip test does not cover %v", zero)
	}
}

func TestDecode_namesTheDamage(t *testing.T) {
	data, err := full(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for name, c := range map[string]struct{ data, want string }{
		"empty":          {"", "is empty"},
		"another file":   {"shards: []\n", "not a shard map"},
		"one line":       {"lanewise-map 1", "first line is cut off"},
		"cut":            {text[:len(text)/2], "was cut or extended"},
		"extended":       {text + "x", "was cut or extended"},
		"edited":         {strings.Replace(text, `"epoch": 5`, `"epoch": 6`, 1), "was edited or damaged"},
		"newer":          {strings.Replace(text, "lanewise-map 1 ", "lanewise-map 2 ", 1), "has format 2"},
		"bad first line": {strings.Replace(text, "sha256:", "md5:", 1), "first line is damaged"},
	} {
		if c.data == text {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := shardmap.Decode([]byte(c.data)); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want it to say %q", name, err, c.want)
		}
	}
}

func TestDecode_findsEveryFlippedByte(t *testing.T) {
	data, err := full(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		bad := bytes.Clone(data)
		bad[rapid.IntRange(0, len(bad)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		if m, err := shardmap.Decode(bad); err == nil {
			if again, _ := m.Encode(); !bytes.Equal(again, data) { // a space for a space in the first line is harmless
				t.Fatal("a damaged map was accepted")
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	data, err := full(f).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("lanewise-map 1 sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0\n"))
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = shardmap.Decode(data) }) // must not panic
}

func openFile(t *testing.T, path string) *shardmap.File {
	t.Helper()
	f, err := shardmap.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func TestFile_savesAndLoads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "folder", "map")
	f := openFile(t, path)
	if _, err := f.Load(); !errors.Is(err, fault.NotFound) || !strings.Contains(err.Error(), path) {
		t.Fatalf("no file yet: %v", err)
	}
	m := full(t)
	if err := f.Save(m); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Load(); err != nil || got.Epoch() != m.Epoch() {
		t.Fatalf("%+v, %v", got, err)
	}
	if err := f.Save(m); !errors.Is(err, fault.Conflict) {
		t.Errorf("the same epoch again: %v", err)
	}
	if err := f.Save(m.Raised()); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("files left: %v, want the map and its lock", left)
	}
}

func TestFile_neverReplacesADamagedMap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "map")
	if err := os.WriteFile(path, []byte("lanewise-map 1 sha"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := openFile(t, path)
	if _, err := f.Load(); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), path) {
		t.Errorf("load: %v, want fault.Invalid with the file's name", err)
	}
	if err := f.Save(full(t)); !errors.Is(err, fault.Invalid) {
		t.Errorf("save: %v", err)
	}
}

func TestFile_closedCannotSave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "map")
	f := openFile(t, path)
	if err := errors.Join(f.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	if err := f.Save(full(t)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("save after close: %v", err)
	}
	again := openFile(t, path)
	if err := again.Save(full(t)); err != nil {
		t.Error(err)
	}
}

func TestOpenFile_oneWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "map")
	f := openFile(t, path)
	_, err := shardmap.OpenFile(path)
	if want := fmt.Sprint("process ", os.Getpid()); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), want) {
		t.Fatalf("second writer: %v, want it to name %s", err, want)
	}
	if err := f.Save(full(t)); err != nil {
		t.Errorf("the first writer was hurt: %v", err)
	}
	if _, err := shardmap.Read(path); err != nil {
		t.Errorf("a reader beside the writer: %v", err)
	}
}

// TestOpenFile_afterAKill holds the lock in another process, kills that and takes the lock.
func TestOpenFile_afterAKill(t *testing.T) {
	if path := os.Getenv("SHARDMAP_TEST_LOCK"); path != "" { // the other process
		held, err := shardmap.OpenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = held.Close() }) // or the collector would take it, and the lock with it
		fmt.Println("locked")
		select {}
	}
	path := filepath.Join(t.TempDir(), "map")
	other := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOpenFile_afterAKill$") //nolint:gosec // this test's own binary
	other.Env = append(os.Environ(), "SHARDMAP_TEST_LOCK="+path)
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	_, err = shardmap.OpenFile(path)
	if want := fmt.Sprint("process ", other.Process.Pid); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), want) {
		t.Errorf("while it runs: %v, want it to name %s", err, want)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait() // it was killed
	openFile(t, path)
}

func BenchmarkDecode(b *testing.B) {
	data, err := full(b).Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := shardmap.Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}
