//go:build unix

package outage_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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
	addressVariable = "LANEWISE_OUTAGE_ADDRESS" // to listen on; empty: any
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

// listen takes an address. Where there is none it is one that the system gives to nobody by itself, so that
// it is still free when a server that was killed comes back to it.
func listen(address string) (l net.Listener, err error) {
	if address != "" {
		return net.Listen("tcp", address)
	}
	for range 100 {
		if l, err = net.Listen("tcp", fmt.Sprint("127.0.0.1:", 10_000+rand.IntN(20_000))); err == nil { //nolint:gosec // any port
			break
		}
	}
	return l, err
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
	l, err := listen(os.Getenv(addressVariable))
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
