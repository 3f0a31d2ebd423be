package main

import (
	"bytes"
	"context"
	"os"
	"time"

	"github.com/lanewise/lanewise/config"
)

// watchEvery is how often the configuration file is looked at.
const watchEvery = time.Second

// reloader puts a configuration file in force again.
type reloader struct {
	file   string
	watch  bool                 // also when it has changed
	adapt  func(*config.Config) // to the command line
	hangup chan os.Signal       // SIGHUP; nil: none comes
	last   []byte               // what the file said when it was tried last
}

// run reloads at each SIGHUP, and after each change of the file, until ctx ends.
func (r *reloader) run(ctx context.Context, live *config.Live) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	r.last = r.read()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.hangup:
		case <-tick.C:
			if !r.watch || !r.changed() {
				continue
			}
		}
		r.reload(ctx, live)
	}
}

// read returns what the file says; nil: it cannot be read now, as while an editor replaces it.
func (r *reloader) read() []byte {
	text, err := os.ReadFile(r.file)
	if err != nil {
		return nil
	}
	return text
}

// changed reports whether the file says something else than it did when it was tried last, and nothing else
// a moment later: what is half written is left alone.
func (r *reloader) changed() bool {
	now := r.read()
	return now != nil && !bytes.Equal(now, r.last) && bytes.Equal(now, r.read())
}

func (r *reloader) reload(ctx context.Context, live *config.Live) {
	r.last = r.read()
	cfg, err := config.Load(r.file)
	if err != nil {
		live.Refused(err)
		return
	}
	r.adapt(cfg)
	_ = live.Reload(ctx, cfg) // it has logged why
}
