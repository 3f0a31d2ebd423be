package transfer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// state is how far a copy has come. The file is replaced as a whole, so that it is the old
// one or the new one whenever the process ends.
type state struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Next   string `json:"next"` // everything before this place is written; empty: nothing is, unless done
	Copied int    `json:"copied"`
	Done   bool   `json:"done"`
}

// load reads a state; the zero state where there is no file.
func load(path string) (s state, err error) {
	if path == "" {
		return s, errors.New("no file is named that remembers how far the copy has come")
	}
	data, err := os.ReadFile(path) //nolint:gosec // the file that the user names
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return s, fmt.Errorf("read how far the copy has come, from %s: %w", path, err)
	}
	return s, nil
}

func (s state) save(path string) error {
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode the state: %w", err)
	}
	if err := replace(path, data); err != nil {
		return fmt.Errorf("remember how far the copy has come: %w", err)
	}
	return nil
}

// replace writes a file beside the old one and then puts it in its place.
func replace(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// Forget removes the file of a copy that is over.
func Forget(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
