package config

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// childVariable has this test's binary be the server of the test.
const childVariable = "LANEWISE_CHILD_FOLDER"

// A server that runs out of file descriptors stays, and serves again once clients have left.
func TestServe_withoutFilesLeft(t *testing.T) {
	if dir := os.Getenv(childVariable); dir != "" {
		serveWithFewFiles(t, dir)
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestServe_withoutFilesLeft$") //nolint:gosec // itself
	child.Env = append(os.Environ(), childVariable+"="+t.TempDir())
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	address := ""
	for address == "" && lines.Scan() {
		address, _ = strings.CutPrefix(lines.Text(), "serving on ")
	}
	var crowd []net.Conn
	for range 3 * fewFiles {
		conn, err := net.Dial("tcp", address) //nolint:noctx // it waits in the backlog at most
		if err != nil {
			t.Fatal(err)
		}
		crowd = append(crowd, conn)
	}
	for _, conn := range crowd {
		_ = conn.Close()
	}
	if got := call(t, address).get("/healthz"); got != 200 {
		t.Errorf("afterwards: %d", got)
	}
	_ = child.Process.Signal(os.Interrupt)
	for lines.Scan() { // until it ends
	}
	if err := child.Wait(); err != nil {
		t.Errorf("the server: %v", err)
	}
}

const fewFiles = 64

func serveWithFewFiles(t *testing.T, dir string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's listener
	if err != nil {
		t.Fatal(err)
	}
	s := build(t, Local(dir))
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: fewFiles, Max: fewFiles}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	_, _ = fmt.Printf("serving on %s\n", l.Addr())
	if err := s.Serve(ctx, l); err != nil {
		t.Error(err)
	}
}
