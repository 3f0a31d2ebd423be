package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/sealed"
)

// fileForm is a key file.
type fileForm struct {
	Keys []Key `json:"keys"`
}

// maxFile bounds a key file, in bytes.
const maxFile = 64 << 20

// ReadFile reads and checks a key file. Where there is none the error matches fs.ErrNotExist; one that
// makes no sense is fault.Invalid.
func ReadFile(path string) ([]Key, error) {
	f, err := os.Open(path) //nolint:gosec // the file that the operator names
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read keys: %w", err)
	case len(data) > maxFile:
		return nil, fault.New(fault.Invalid, "read keys: %s is larger than %d bytes", path, maxFile)
	}
	var form fileForm
	if err := errors.Join(strict(data, &form), checkAll(form.Keys)); err != nil {
		return nil, fault.Wrap(fault.Invalid, "read keys from "+path, err)
	}
	return form.Keys, nil
}

// WriteFile replaces a key file as a whole: whoever reads it meanwhile, or after a crash, finds the old
// keys or the new ones. Only its owner may read a new one; one that is replaced keeps its rights and its owner.
func WriteFile(path string, keys []Key) error {
	if err := checkAll(keys); err != nil {
		return err
	}
	data, err := json.MarshalIndent(fileForm{append([]Key{}, keys...)}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode keys: %w", err)
	}
	if err := sealed.Replace(path, append(data, '\n')); err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	return nil
}

// UpdateFile changes a key file, or makes one where there is none: change gets its keys and returns those that it is to
// hold. Of several that do so at the same time each waits for the one before it (path + ".lock").
func UpdateFile(path string, change func([]Key) ([]Key, error)) error {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // beside the file that the operator names
	if err != nil {
		return fmt.Errorf("lock the keys: %w", err)
	}
	defer f.Close() //nolint:errcheck // nothing is written to it
	if err := lock(f); err != nil {
		return fmt.Errorf("lock the keys: %w", err)
	}
	keys, err := ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if keys, err = change(keys); err != nil {
		return err
	}
	return WriteFile(path, keys)
}

// strict decodes exactly one JSON value without unknown fields.
func strict(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fault.Wrap(fault.Invalid, "read JSON", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.Invalid, "something follows the JSON value")
	}
	return nil
}
