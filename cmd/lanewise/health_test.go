package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestHealth(t *testing.T) {
	address := strings.TrimPrefix(serving(t).env["LANEWISE_URL"], "http://")
	file := filepath.Join(folder(t, map[string]string{"c.yaml": "listen: " + address + "\nkeys: [{key: unused}]\nshards: [{name: s0, replicas: [{path: s0}]}]\n"}), "c.yaml")
	world{}.run(t, "health", "-c", file).want(t, exitOK)
	world{}.run(t, "health", "--listen", address).want(t, exitOK)
	world{}.run(t, "health", "-c", file, "--listen", "127.0.0.1:1").want(t, exitFailure, "no lanewise server answers")
	world{}.run(t, "health", "-c", "none.yaml").want(t, exitFailure, "none.yaml")
}
