package observe

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// documented reports whether docs/metrics.md has a row of every metric that text uses.
func documented(t *testing.T, text string) {
	t.Helper()
	manual, n := read(t, "../docs/metrics.md"), 0
	for _, name := range regexp.MustCompile(`\b(lanewise|gen_ai_client)_[a-z_]+`).FindAllString(text, -1) {
		n++
		base := name
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			base = strings.TrimSuffix(base, suffix)
		}
		if !strings.Contains(manual, "| `"+base+"` |") {
			t.Errorf("there is no metric %s", base)
		}
	}
	if n < 8 {
		t.Errorf("only %d metrics", n)
	}
}

func TestAlerts_haveMetricsAndRunbooks(t *testing.T) {
	rules, manual := read(t, "../deploy/prometheus/alerts.yml"), read(t, "../docs/metrics.md")
	var exprs []string
	for _, rule := range strings.Split(rules, "- alert: ")[1:] {
		name, rest, _ := strings.Cut(rule, "\n")
		expr, _, _ := strings.Cut(rest, "for:")
		exprs = append(exprs, expr)
		if !strings.Contains(manual, "\n### "+name+"\n") || !strings.Contains(rest, "docs/metrics.md#"+strings.ToLower(name)+"\n") {
			t.Errorf("%s has no runbook", name)
		}
	}
	documented(t, strings.Join(exprs, "\n"))
	for _, heading := range regexp.MustCompile(`(?m)^### (\w+)$`).FindAllStringSubmatch(manual, -1) {
		if unicode.IsUpper(rune(heading[1][0])) && !strings.Contains(rules, "- alert: "+heading[1]+"\n") {
			t.Errorf("the runbook of %s is of no alert", heading[1])
		}
	}
}

// promtool runs Prometheus' own tool.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: apt-get install prometheus")
	}
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v: %s", args, err, out)
	}
}

func TestAlerts_areRulesOfPrometheus(t *testing.T) {
	promtool(t, "check", "rules", "../deploy/prometheus/alerts.yml")
}

// Each alert fires on series that it is about, and is silent on others.
func TestAlerts_fire(t *testing.T) {
	tried := read(t, "../deploy/prometheus/alerts_test.yml")
	for _, found := range regexp.MustCompile(`(?m)- alert: (\w+)$`).FindAllStringSubmatch(read(t, "../deploy/prometheus/alerts.yml"), -1) {
		if !strings.Contains(tried, `{alertname="`+found[1]+`"}`) {
			t.Errorf("no test fires %s", found[1])
		}
	}
	promtool(t, "test", "rules", "../deploy/prometheus/alerts_test.yml")
}

func TestDashboard_showsMetricsThatThereAre(t *testing.T) {
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "../deploy/grafana/lanewise.json")), &board); err != nil {
		t.Fatal(err)
	}
	var exprs []string
	for _, p := range board.Panels {
		if p.Title == "" || len(p.Targets) == 0 {
			t.Errorf("%+v", p)
		}
		for _, target := range p.Targets {
			exprs = append(exprs, target.Expr)
		}
	}
	documented(t, strings.Join(exprs, "\n"))

	var rules strings.Builder // each expression as a rule, which promtool can parse
	rules.WriteString("groups:\n- name: board\n  rules:\n")
	for i, expr := range exprs {
		fmt.Fprintf(&rules, "  - {record: 'panel:%d', expr: '%s'}\n", i, strings.ReplaceAll(expr, "$__rate_interval", "5m"))
	}
	file := filepath.Join(t.TempDir(), "board.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}
