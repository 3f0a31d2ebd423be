package config

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"
)

// expiry watches over the end of a certificate whose file is read again when it changes.
type expiry struct {
	file    string
	current func() *tls.Config
	log     *slog.Logger
}

// How often it is looked at, from when on its end is near, and how often that is said.
const (
	lookAtEnd = time.Minute
	nearEnd   = 7 * 24 * time.Hour
	sayEnd    = 24 * time.Hour
)

// end is when the certificate of the moment ends.
func (e *expiry) end() time.Time { return e.current().Certificates[0].Leaf.NotAfter }

// run tells in the log that the end is near, and that it has come, until ctx ends.
func (e *expiry) run(ctx context.Context) {
	look := time.NewTicker(lookAtEnd)
	defer look.Stop()
	var saidOf, saidAt time.Time
	var wasOver bool
	for {
		now, end := time.Now(), e.end()
		over := now.After(end)
		if end.Sub(now) < nearEnd && (end != saidOf || over != wasOver || now.Sub(saidAt) >= sayEnd) {
			e.say(ctx, end, over)
			saidOf, saidAt, wasOver = end, now, over
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

func (e *expiry) say(ctx context.Context, end time.Time, over bool) {
	if over {
		e.log.ErrorContext(ctx, "the certificate of the external metrics API has expired: the API server does not ask it, and the autoscaler changes nothing",
			"event", "CertificateExpired", "file", e.file, "ended", end)
		return
	}
	e.log.WarnContext(ctx, "the certificate of the external metrics API expires soon", "event", "CertificateExpires", "file", e.file, "ends", end)
}
