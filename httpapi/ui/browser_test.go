package ui_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/lanewise/lanewise/config"
)

const adminKey = "key-of-the-operator"

// shown serves the page of a router over two shards with two replicas each, for callers with a key, and
// returns its URL. Requests come through pass.
func shown(t *testing.T, pass func(http.Handler) http.Handler) string {
	t.Helper()
	dir := t.TempDir()
	c := &config.Config{Keys: []config.ClientKey{{Key: adminKey, Name: "operator"}}}
	c.Timeouts.Search = 60e9 // a busy machine is no reason to lose one
	for _, name := range []string{"s0", "s1"} {
		c.Shards = append(c.Shards, config.Shard{Name: name, Replicas: []config.Replica{{Path: filepath.Join(dir, name, "a")}, {Path: filepath.Join(dir, name, "b")}}})
	}
	sys, err := c.Build(t.Context(), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(pass(sys.Handler))
	t.Cleanup(func() {
		server.Close()
		if err := sys.Close(); err != nil {
			t.Error(err)
		}
	})
	var points []string
	for i, text := range []string{"A scanner reads a file line by line.", "Sort sorts a slice in ascending order.", "A mutex guards a value against two writers."} {
		points = append(points, fmt.Sprintf(`{"id": "p%d", "text": %q}`, i, text))
	}
	put(t, sys.Handler, "/v1/collections/docs", `{}`)
	put(t, sys.Handler, "/v1/collections/docs/points", `{"points": [`+strings.Join(points, ",")+`]}`)
	return server.URL + "/ui/"
}

func put(t *testing.T, h http.Handler, path, body string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPut, path, bytes.NewReader([]byte(body)))
	r.Host = "localhost"
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+adminKey)
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
}

// browser starts the one that LANEWISE_TEST_BROWSER names.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := os.Getenv("LANEWISE_TEST_BROWSER")
	if path == "" {
		t.Skip("LANEWISE_TEST_BROWSER names no Chromium to show the page in")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WSURLReadTimeout(time.Minute))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil { // it lives as long as the context of the first call
		t.Fatal(err)
	}
	return ctx
}

// tab shows the page to one test.
type tab struct {
	*testing.T
	ctx   context.Context //nolint:containedctx // it is how the browser knows the tab
	heard complaints
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.Fatal(err)
	}
}

// read is the value of an expression in the page.
func read[T any](b *tab, expression string) T {
	b.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits until an expression is true in the page.
func until(condition string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](
		"new Promise((yes) => { const look = () => ("+condition+") ? yes(1) : setTimeout(look, 20); look(); })", chromedp.EvalAwaitPromise)
}

// complaints are the errors that the console of a page tells, broken policies among them, but for the answers
// that ask for a key.
type complaints struct {
	mu  sync.Mutex
	all []string
}

// listen notes what the console of a tab says from now on.
func (c *complaints) listen(ctx context.Context) {
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			bad := m.Type == "error" || m.Type == chromedp.ConsoleException || strings.Contains(m.Text, "Content Security Policy")
			if bad && !strings.Contains(m.Text, "status of 401") {
				c.mu.Lock()
				c.all = append(c.all, fmt.Sprintf("%s: %s (%s)", m.Type, m.Text, m.URL))
				c.mu.Unlock()
			}
		}
	}()
}

func (c *complaints) none(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, text := range c.all {
		t.Error(text)
	}
}

// newTab is a blank one.
func newTab(root context.Context, t *testing.T, media ...*emulation.MediaFeature) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(root)
	t.Cleanup(cancel)
	b := &tab{T: t, ctx: ctx}
	b.heard.listen(ctx)
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: media}); err != nil {
		t.Fatal(err)
	}
	return b
}

// open shows the page in a tab of its own and enters the key that it asks for.
func open(root context.Context, t *testing.T, url string, media ...*emulation.MediaFeature) *tab {
	t.Helper()
	b := newTab(root, t, media...)
	b.do(chromedp.Navigate(url), chromedp.WaitVisible(chromedp.CSS("#key-dialog")), entersTheKey(), chromedp.WaitVisible(chromedp.CSS(".lane")),
		until(`document.getElementById('status').dataset.state === 'live'`), until(`document.getElementById('collection').options.length > 0`))
	return b
}

func entersTheKey() chromedp.Action[chromedp.Void] {
	return chromedp.SendKeys(chromedp.CSS("#key"), adminKey+kb.Enter)
}

// A question that was asked without the key may be refused after the key was entered: the page does not ask for it again.
func TestPage_isRefusedLate(t *testing.T) {
	root, release := browser(t), make(chan struct{})
	var asked atomic.Int64
	url := shown(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/v1/") && r.Header.Get("Authorization") == "" && asked.Add(1) > 2 { // the first two open the dialog
				<-release
			}
			next.ServeHTTP(w, r)
		})
	})
	b := newTab(root, t)
	b.do(chromedp.Navigate(url), chromedp.WaitVisible(chromedp.CSS("#key-dialog")))
	for asked.Load() < 3 {
		<-time.After(10 * time.Millisecond)
	}
	b.do(entersTheKey(), chromedp.WaitNotVisible(chromedp.CSS("#key-dialog")))
	close(release)
	b.do(until(`document.getElementById('status').dataset.state === 'live'`))
	if read[bool](b, `document.getElementById('key-dialog').open`) {
		b.Error("the key is asked for again")
	}
}

func TestPage_inABrowser(t *testing.T) {
	root, url := browser(t), shown(t, func(h http.Handler) http.Handler { return h })
	for name, flow := range map[string]func(*tab){
		"search": (*tab).searches, "answer": (*tab).answers, "theme": (*tab).paints, "keyboard": (*tab).opensALane, "trips": (*tab).showsTrips, "narrow": (*tab).fits,
	} {
		t.Run(name, func(t *testing.T) {
			b := open(root, t, url)
			flow(b)
			b.heard.none(t)
		})
	}
	t.Run("motion", func(t *testing.T) {
		b := open(root, t, url, &emulation.MediaFeature{Name: "prefers-reduced-motion", Value: "reduce"})
		b.standsStill()
		b.heard.none(t)
	})
}

// driving is whether there is a car on the road.
const driving = `(() => { const c = document.getElementById('cars'); return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v > 0) })()`

func (b *tab) searches() {
	// Its cars drive, and the canvas shows them, perhaps before the test looks again.
	b.do(chromedp.Evaluate[chromedp.Void](`window.drove = false; setInterval(() => { window.drove ||= ` + driving + ` }, 20); 0`))
	b.do(chromedp.SendKeys(chromedp.CSS("#text"), "sort a slice"+kb.Enter), chromedp.WaitVisible(chromedp.CSS("#hits li")))
	if got := read[string](b, `document.querySelector('#hits li b').textContent`); got != "p1" {
		b.Errorf("the best hit is %q", got)
	}
	b.do(until(`document.getElementById('outcome').textContent.includes('2 shards')`))
	b.do(until(`window.drove`))
}

func (b *tab) answers() {
	b.do(chromedp.SendKeys(chromedp.CSS("#text"), "How do I read a file line by line?"), chromedp.Click(chromedp.CSS("#answer-button")),
		chromedp.WaitVisible(chromedp.CSS("#answer a")))
	got := read[[]string](b, `(() => { const a = document.querySelector('#answer a'); return [a.textContent, document.querySelector(a.getAttribute('href')).className, document.getElementById('answer').textContent] })()`)
	if got[0] != "[1]" || got[1] != "cited" || !strings.Contains(got[2], "scanner reads") {
		b.Errorf("%q", got)
	}
}

func (b *tab) paints() {
	const theme = `document.documentElement.dataset.theme`
	colour := `getComputedStyle(document.body).backgroundColor`
	before := read[string](b, colour)
	b.do(until(theme+` === 'light'`), chromedp.Click(chromedp.CSS("#theme")), chromedp.Click(chromedp.CSS("#theme")), until(theme+` === 'dark'`))
	if after := read[string](b, colour); after == before {
		b.Errorf("the page stays %s", after)
	}
	b.do(chromedp.Reload(), until(theme+` === 'dark'`), chromedp.Click(chromedp.CSS("#theme")), until(theme+` === 'light'`))
}

func (b *tab) opensALane() {
	const focused = `document.activeElement.getAttribute('aria-label') || document.activeElement.id || document.activeElement.textContent`
	for range 20 { // the lanes come after the tools, in the order of the page
		if strings.HasPrefix(read[string](b, focused), "s0 r0") {
			break
		}
		b.do(chromedp.KeyEvent(kb.Tab))
	}
	if got := read[string](b, focused); !strings.HasPrefix(got, "s0 r0: open") {
		b.Fatalf("the focus is on %q", got)
	}
	b.do(chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS("#lane-dialog")))
	if got := read[string](b, `document.getElementById('lane-dialog').innerText`); !strings.Contains(got, "s0 / r0") || !strings.Contains(got, "Taken out of use") {
		b.Errorf("the dialog says %q", got)
	}
	b.do(chromedp.KeyEvent(kb.Escape), chromedp.WaitNotVisible(chromedp.CSS("#lane-dialog")), until(`document.activeElement.classList.contains('lane')`))
}

func (b *tab) showsTrips() {
	const row = `[...document.querySelectorAll('.trip')].find((b) => b.textContent.startsWith('search'))`
	b.do(chromedp.SendKeys(chromedp.CSS("#text"), "a mutex"+kb.Enter), chromedp.WaitVisible(chromedp.CSS("#hits li")), until(row),
		chromedp.Evaluate[chromedp.Void](row+`.focus()`), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS(".gantt .line")))
	got := read[string](b, `document.querySelector('.trip-open').innerText`)
	for _, want := range []string{"hits merged from", "2 of 2 shards", "search", "s1/r", "Drive it again"} {
		if !strings.Contains(got, want) {
			b.Errorf("%q says nothing of %q", got, want)
		}
	}
}

func (b *tab) fits() {
	for _, width := range []int64{390, 1280} {
		b.do(chromedp.EmulateViewport(width, 900), until(fmt.Sprintf(`innerWidth === %d`, width)))
		if beyond := read[int64](b, `document.documentElement.scrollWidth`); beyond > width {
			b.Errorf("%d pixels of content on a page of %d", beyond, width)
		}
	}
}

func (b *tab) standsStill() {
	b.do(chromedp.SendKeys(chromedp.CSS("#text"), "sort a slice"+kb.Enter), chromedp.WaitVisible(chromedp.CSS("#hits li")), chromedp.WaitVisible(chromedp.CSS(".trip")))
	if got := read[string](b, `document.getElementById('motion').textContent`); got != "Drive" {
		b.Errorf("the button says %q", got)
	}
	if read[bool](b, driving) {
		b.Error("cars drive though the system asks for less motion")
	}
}
