package discovery

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/lanewise/lanewise/fault"
)

// File is a source that reads its members from a file, a list in YAML or JSON with the keys
// of [Member]:
//
//   - address: 10.0.0.7:8080
//   - {name: b, address: "http://10.0.0.8:8080", weight: 2, state: terminating}
//
// It is looked at every second. A file that is gone or wrong is an error, and so is a key that is not known.
type File struct {
	Path string

	every time.Duration // 0: fileEvery
}

var _ Source = File{}

// fileEvery is how often a file is looked at.
const fileEvery = time.Second

// Watch implements [Source].
func (f File) Watch(ctx context.Context, tell func([]Member, error)) {
	tick := time.NewTicker(cmp.Or(f.every, fileEvery))
	defer tick.Stop()
	var last []byte
	var members []Member
	var wrong error
	for ctx.Err() == nil {
		now, err := os.ReadFile(f.Path)
		if err == nil {
			if last == nil || !bytes.Equal(last, now) {
				last = now
				members, wrong = f.parse(now)
			}
			err = wrong
		}
		if err != nil {
			tell(nil, fault.Wrap(fault.Unavailable, "read members", err))
		} else {
			tell(members, nil)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (f File) parse(text []byte) (members []Member, err error) {
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&members); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	return members, nil
}
