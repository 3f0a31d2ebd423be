//go:build unix

package outage_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/httpapi"
)

// This binary runs again as a server where these are set.
const (
	dirVariable     = "LANEWISE_OUTAGE_DIR"     // of its store
	addressVariable = "LANEWISE_OUTAGE_ADDRESS" // to listen on
	keyVariable     = "LANEWISE_OUTAGE_KEY"     // that callers need; empty: none
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(dirVariable); dir != "" {
		if err := serve(dir); err != nil {
			fmt.Fprintln(os.Stderr, "server:", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// serve is a replica until its standard input ends, with the process that started it.
func serve(dir string) error {
	store, err := local.Open(local.Config{Path: dir})
	if err != nil {
		return err
	}
	c := httpapi.Config{Store: store}
	if key := os.Getenv(keyVariable); key != "" {
		c.Keys = []string{key}
	}
	handler, err := httpapi.New(c)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", os.Getenv(addressVariable))
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	server := http.Server{Handler: handler} //nolint:gosec // for tests on this machine
	return errors.Join(server.Serve(l), store.Close())
}
