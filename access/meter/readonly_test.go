package meter

import (
	"os"
	"path/filepath"
	"testing"
)

// A folder that cannot be written is an error at the start, not a loss later.
func TestNew_inAFolderThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{File: filepath.Join(file, "usage.db")}); err == nil {
		t.Error("it was made")
	}
}
