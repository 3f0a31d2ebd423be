package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
// keys or the new ones. Only its owner may read it.
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
