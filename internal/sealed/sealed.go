// Package sealed keeps small notes in files that are replaced as a whole and
// checksummed: after a crash a file holds the old note or the new one, and a
// damaged one is not believed.
package sealed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/lanewise/lanewise/fault"
)

const magic = "lanewise-note 1 sha256:"

// Write stores v as JSON in the file at path, durably and in one step.
func Write(path string, v any) error {
	body, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	body = append(body, '\n')
	sum := sha256.Sum256(body)
	data := append([]byte(magic+hex.EncodeToString(sum[:])+"\n"), body...)
	if err := Replace(path, data); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Read fills v from the file at path. Where there is no file the error matches
// fs.ErrNotExist; a damaged one is fault.Invalid.
func Read(path string, v any) error {
	data, err := os.ReadFile(path) //nolint:gosec // the file stands beside one that the operator names
	if err != nil {
		return err //nolint:wrapcheck // it names the file
	}
	head, body, _ := bytes.Cut(data, []byte{'\n'})
	sum := sha256.Sum256(body)
	if string(head) != magic+hex.EncodeToString(sum[:]) {
		return fault.New(fault.Invalid, "%s was edited or damaged: its checksum is not the one in its first line", path)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fault.Wrap(fault.Invalid, "read "+path, err)
	}
	return nil
}

// Replace writes data beside path, makes it durable and renames it into place: after a
// crash the file is the old one or the new one, whole. A new one has the rights and the owner of the old one, so that whoever
// could read it still can; the first one is its owner's alone.
func Replace(path string, data []byte) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	if _, err = tmp.Write(data); err == nil {
		err = inherit(tmp, path)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return syncDir(dir)
}

// inherit gives a file the rights and the owner of the one that it is to replace, if there is one.
func inherit(f *os.File, path string) error {
	old, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	give(f, old)
	return f.Chmod(old.Mode().Perm())
}

// syncDir makes a rename durable. Windows has no such call and needs none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir) //nolint:gosec // the folder of the operator's file
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
