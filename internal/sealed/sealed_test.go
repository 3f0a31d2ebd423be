package sealed_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/sealed"
)

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	file := filepath.Join(dir, "note")
	err = sealed.Write(file, map[string]int{"copied": 7})
	var note map[string]int
	fmt.Println(err, sealed.Read(file, &note), note["copied"])
	// Output: <nil> <nil> 7
}

func TestRead_refusesWhatWasNotWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "note")
	var note map[string]int
	if err := sealed.Read(file, &note); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := sealed.Write(file, map[string]int{"a": 1}); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 1
		for _, data := range [][]byte{bad, good[:i]} {
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := sealed.Read(file, &note); !errors.Is(err, fault.Invalid) {
				t.Fatalf("%q: %v", data, err)
			}
		}
	}
}

func TestWrite_leavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		if err := sealed.Write(filepath.Join(dir, "note"), i); err != nil {
			t.Fatal(err)
		}
	}
	if err := sealed.Write(filepath.Join(dir, "missing", "note"), 1); err == nil {
		t.Error("a folder that is not there was written to")
	}
	if err := sealed.Write(filepath.Join(dir, "note"), func() {}); err == nil {
		t.Error("a function was encoded")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v %v", entries, err)
	}
}
