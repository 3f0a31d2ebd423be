// Package ui is the page at /ui/: the lanes of a server as a toll plaza, live.
//
// It is plain HTML, CSS and JavaScript, embedded as it stands in page/: nothing is built, and nothing comes
// from another server. The page asks the server's own endpoints (GET /v1/topology, GET /v1/requests,
// POST /v1/search, POST /v1/answer) with the key that its user enters, which stays in the tab.
package ui

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
)

//go:embed page
var files embed.FS

// policy lets the page use its own files and ask its own server, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// media are the types of the page's files, whatever the machine's own table says.
var media = map[string]string{ //nolint:gochecknoglobals // a constant table
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// file is one of the page, with the tag that its content gives it.
type file struct {
	data []byte
	tag  string
}

// Handler serves the page below a path such as "/ui/". It is open to everybody: what the
// page shows it asks for with its user's key.
func Handler(below string) http.Handler {
	all := map[string]file{}
	entries, err := fs.ReadDir(files, "page")
	if err != nil {
		panic(err) // they are part of the program
	}
	for _, e := range entries {
		data, err := files.ReadFile("page/" + e.Name())
		if err != nil {
			panic(err) // likewise
		}
		sum := sha256.Sum256(data)
		all[below+e.Name()] = file{data, `"` + hex.EncodeToString(sum[:8]) + `"`}
	}
	all[below] = all[below+"index.html"]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := all[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		serve(w, r, f)
	})
}

// serve answers with a file, or with the word that it has not changed.
func serve(w http.ResponseWriter, r *http.Request, f file) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	h.Set("Etag", f.tag)
	if r.Header.Get("If-None-Match") == f.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	kind := media[path.Ext(r.URL.Path)]
	if kind == "" {
		kind = media[".html"]
	}
	h.Set("Content-Type", kind)
	_, _ = w.Write(f.data) // a client that has left needs nothing
}
