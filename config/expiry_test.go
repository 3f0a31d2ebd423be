package config

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// timed is what a log was told, each with the time since the beginning.
type timed struct {
	slog.Handler
	began time.Time
	out   []string
}

func (l *timed) Handle(_ context.Context, r slog.Record) error {
	text := r.Time.Sub(l.began).String() + " " + r.Level.String()
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	l.out = append(l.out, text)
	return nil
}

func TestExpiry_isTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		log := &timed{Handler: slog.DiscardHandler, began: began}
		var end atomic.Pointer[time.Time]
		replace := func(after time.Duration) { end.Store(new(began.Add(after))) }
		replace(8*24*time.Hour + 30*time.Second)
		e := &expiry{file: "tls.crt", log: slog.New(enabled{log}), current: func() *tls.Config {
			return &tls.Config{Certificates: []tls.Certificate{{Leaf: &x509.Certificate{NotAfter: *end.Load()}}}}
		}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { e.run(ctx); close(ended) }()
		time.Sleep(2*24*time.Hour + time.Hour - time.Second) // between two looks
		replace(2*24*time.Hour + 30*time.Second)             // another one, which ends at once
		time.Sleep(time.Hour)
		replace(365 * 24 * time.Hour) // and one that is good
		time.Sleep(100 * 24 * time.Hour)
		cancel()
		<-ended
		near := " WARN event=CertificateExpires file=tls.crt ends=2000-01-09 00:00:30 +0000 UTC"
		want := []string{"24h1m0s" + near, "48h1m0s" + near, "49h0m0s ERROR event=CertificateExpired file=tls.crt ended=2000-01-03 00:00:30 +0000 UTC"}
		for i := range log.out {
			log.out[i], _, _ = strings.Cut(log.out[i], " m=")
		}
		if diff := cmp.Diff(want, log.out); diff != "" {
			t.Error(diff)
		}
	})
}

// enabled lets every line through.
type enabled struct{ slog.Handler }

func (enabled) Enabled(context.Context, slog.Level) bool { return true }
