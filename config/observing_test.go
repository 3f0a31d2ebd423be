package config

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/httpapi"
)

// logLines is a log that tests read while it is written to, line by line.
type logLines chan string

func (l logLines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func scrape(t *testing.T, h http.Handler) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1/metrics", nil))
	return w.Code, w.Body.String()
}

func TestMetrics_knowEveryLane(t *testing.T) {
	sys, err := Local(t.TempDir()).Build(t.Context(), Options{Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close()
	code, got := scrape(t, sys.Handler)
	for _, want := range []string{`lanewise_build_info{go="`, `version="1.2.3"`, `lanewise_member_up{lane="`, `lanewise_epoch `, `lanewise_embed_cache_bytes{space="`, `pool="llm"`} {
		if code != http.StatusOK || !strings.Contains(got, want) {
			t.Errorf("%d, there is no %s", code, want)
		}
	}
	w := httptest.NewRecorder()
	sys.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1/v1/topology", nil))
	if w.Code != http.StatusOK || strings.Count(w.Body.String(), `"pool":`) != 3 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestMetrics_off(t *testing.T) {
	c := Local(t.TempDir())
	c.Metrics.Off = true
	sys, err := c.Build(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close()
	if code, got := scrape(t, sys.Handler); code != http.StatusNotFound {
		t.Errorf("%d %s", code, got)
	}
}

func TestMetrics_haveAnAddressOfTheirOwn(t *testing.T) {
	c := Local(t.TempDir())
	c.Metrics.Listen = "127.0.0.1:0"
	log := make(logLines, 100)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	sys, err := c.Build(ctx, Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- sys.Serve(ctx, l) }()
	address := ""
	for line := range log {
		if found := regexp.MustCompile(`serving metrics" listen=(\S+)`).FindStringSubmatch(line); found != nil {
			address = found[1]
			break
		}
	}
	resp, err := http.Get("http://" + address + "/metrics") //nolint:noctx // the test ends with it
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "lanewise_build_info") {
		t.Errorf("%d %v %s", resp.StatusCode, err, body)
	}
	if code, _ := scrape(t, sys.Handler); code != http.StatusNotFound {
		t.Errorf("on the server's own address, too: %d", code)
	}
	http.DefaultClient.CloseIdleConnections()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// witness is an observer that writes down what it hears.
type witness struct {
	name, trace string
	heard       *[]string
}

type witnessed struct{}

func (w witness) Begin(ctx context.Context, _ http.Header) (context.Context, string) {
	before, _ := ctx.Value(witnessed{}).(string)
	*w.heard = append(*w.heard, w.name+" begins after "+before)
	return context.WithValue(ctx, witnessed{}, w.name), w.trace
}

func (w witness) End(ctx context.Context, e *httpapi.Event) {
	last, _ := ctx.Value(witnessed{}).(string)
	*w.heard = append(*w.heard, w.name+" hears of "+e.Route+" with the context of "+last)
}

func TestObservers_hearOfARequestOneAfterAnother(t *testing.T) {
	var heard []string
	all := observers{witness{"a", "", &heard}, witness{"b", "first", &heard}, witness{"c", "second", &heard}}
	ctx, trace := all.Begin(t.Context(), nil)
	all.End(ctx, &httpapi.Event{Route: "/v1/search"})
	want := []string{
		"a begins after ", "b begins after a", "c begins after b",
		"a hears of /v1/search with the context of c", "b hears of /v1/search with the context of c", "c hears of /v1/search with the context of c",
	}
	if !slices.Equal(heard, want) || trace != "first" {
		t.Errorf("trace %q, heard %q", trace, heard)
	}
}

func TestObserving_refusesNonsense(t *testing.T) {
	c := Local(t.TempDir())
	c.Metrics.Off, c.Metrics.Listen, c.Log.Tenants = true, "nowhere", "maybe"
	err := c.Validate()
	for _, want := range []string{"metrics.listen", "log.tenants", "contradicts metrics.off"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

// TestLog_holdsNoSecretsOfTheConfiguration: a part of the system that tells one in an
// error does not get it into the log.
func TestLog_holdsNoSecretsOfTheConfiguration(t *testing.T) {
	c := Local(t.TempDir())
	c.CursorKey, c.Quotas.Redis = "cursor-secret", "redis://:redis-secret@10.0.0.5:6379/0"
	c.Embed.Upstreams = []EmbedUpstream{{Kind: "openai", Key: "embed-secret", Keys: []Secret{"second-secret"}}}
	var out bytes.Buffer
	log := c.withoutSecrets(slog.New(slog.NewJSONHandler(&out, nil)))
	for _, secret := range []string{"cursor-secret", "redis-secret", "embed-secret", "second-secret"} {
		log.Error("upstream", "error", "the key "+secret+" is not known")
		if strings.Contains(out.String(), secret) {
			t.Errorf("the log shows %s", secret)
		}
	}
	if strings.Count(out.String(), "[secret]") != 4 {
		t.Errorf("%s", out.String())
	}
}
