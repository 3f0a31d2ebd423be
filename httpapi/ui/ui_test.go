package ui_test

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/httpapi/ui"
)

func get(t *testing.T, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	ui.Handler("/ui/").ServeHTTP(w, r)
	return w
}

// The page is confined to its own files, and is asked for again only where it has changed.
func TestHandler_servesThePage(t *testing.T) {
	for path, kind := range map[string]string{"/ui/": "text/html", "/ui/index.html": "text/html", "/ui/style.css": "text/css", "/ui/app.js": "text/javascript", "/ui/icon.svg": "image/svg+xml"} {
		w := get(t, path)
		h := w.Header()
		if w.Code != http.StatusOK || !strings.HasPrefix(h.Get("Content-Type"), kind) || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", path, w.Code, h)
		}
		if policy := h.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
			t.Errorf("%s: %s", path, policy)
		}
		if again := get(t, path, "If-None-Match", h.Get("Etag")); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
			t.Errorf("%s again: %d, %d bytes", path, again.Code, again.Body.Len())
		}
	}
	for _, path := range []string{"/ui/none.js", "/ui/../ui.go", "/ui/page/", "/"} {
		if w := get(t, path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// Nothing is loaded from elsewhere, and nothing that the policy would refuse is tried: no style or script inside
// the HTML, and no HTML made of texts.
func TestPage_needsNothingElse(t *testing.T) {
	files := os.DirFS("page")
	names, err := fs.Glob(files, "*")
	if err != nil || len(names) < 5 {
		t.Fatal(names, err)
	}
	forbidden := regexp.MustCompile(`https?://(?:[^w]|w[^w])|innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|<script>|<style|\sstyle=|\son[a-z]+="`)
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		if found := forbidden.FindString(string(data)); found != "" {
			t.Errorf("%s has %q", name, found)
		}
	}
}

func ExampleHandler() {
	mux := http.NewServeMux()
	mux.Handle("GET /ui/", ui.Handler("/ui/"))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/ui/", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	// Output:
	// 200 text/html; charset=utf-8
}
