//go:build unix

package sealed_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/lanewise/lanewise/internal/sealed"
)

// A server of another user still reads a file that root has changed.
func TestReplace_keepsRightsAndOwner(t *testing.T) {
	file := filepath.Join(t.TempDir(), "note")
	replace := func() (mode os.FileMode, owner uint32) {
		t.Helper()
		if err := sealed.Replace(file, []byte("x")); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm(), info.Sys().(*syscall.Stat_t).Uid
	}
	if mode, _ := replace(); mode != 0o600 {
		t.Errorf("a new file has the rights %v", mode)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	of := os.Getuid()
	if of == 0 && os.Chown(file, 65532, 65532) == nil { // nobody else can give files away
		of = 65532
	}
	if mode, owner := replace(); mode != 0o644 || owner != uint32(of) {
		t.Errorf("a file that was there has the rights %v, and is of %d", mode, owner)
	}
}
