package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// Every number of every benchmark has a range, which each value is held to before anything is asked.
func TestBench_numbersOutOfRange(t *testing.T) {
	for _, c := range newBench(&app{env: func(string) string { return "" }}).Commands() {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			switch f.Value.Type() {
			case "int", "float64", "duration":
			default:
				return
			}
			b, ok := f.Value.(bounded)
			if !ok {
				t.Errorf("bench %s --%s has no range", c.Name(), f.Name)
				return
			}
			if err := b.Set(f.Value.String()); err != nil {
				t.Errorf("bench %s --%s: its default: %v", c.Name(), f.Name, err)
			}
			unit := map[string]string{"duration": "s"}[f.Value.Type()]
			wrong := []string{"-1" + unit, "x"}
			if b.least >= 1 {
				wrong = append(wrong, "0"+unit)
			}
			if b.most > 0 {
				wrong = append(wrong, fmt.Sprintf("%.0f%s", 2*b.most, unit))
			}
			for _, text := range wrong {
				done := world{}.run(t, "bench", c.Name(), "--"+f.Name, text)
				if done.code != exitUsage || !strings.Contains(done.errOut, "--"+f.Name) {
					t.Errorf("bench %s --%s %s: exit %d: %s", c.Name(), f.Name, text, done.code, done.errOut)
				}
			}
		})
	}
}

func TestBounded_saysTheRange(t *testing.T) {
	for args, says := range map[string]string{
		"search --rate -1":      `"--rate" flag: must be 0.001 to 1000000000`,
		"lanes --duration 10us": `"--duration" flag: must be at least 1ms`,
		"chat --sigma NaN":      `"--sigma" flag: must be 0 to 3`,
		"store --dims 1000000":  `"--dims" flag: must be 1 to 65536`,
	} {
		done := world{}.run(t, append([]string{"bench"}, strings.Fields(args)...)...)
		if done.code != exitUsage || !strings.Contains(done.errOut, says) {
			t.Errorf("%s: exit %d: %s", args, done.code, done.errOut)
		}
	}
}

// What can be known to be wrong is refused before anything is asked.
func TestBench_refusesBeforeItAsks(t *testing.T) {
	for args, says := range map[string]string{
		"chat":                         "--model",
		"lanes --policies best":        "--policies",
		"lanes --script absent.yaml":   "absent.yaml",
		"answer --script absent.yaml":  "absent.yaml",
		"search --queries absent.npy":  "absent.npy",
		"search --k 0":                 "--k",
		"search --filter {":            "--filter",
		"search --arrivals odd":        "--arrivals",
		"search --slo fast":            "--slo",
		"lanes --slo p99=1s":           "--slo",
		"lanes --html /no/such/x.html": "--html: there is no folder /no/such",
		"merge --json /no/such/x.json": "--json: there is no folder /no/such",
		"chat --target x --model m":    "the first call of x: /url",
		"data --truth 5":               "--truth",
	} {
		w := world{env: map[string]string{"LANEWISE_URL": "http://127.0.0.1:1"}} // where nobody answers
		if done := w.run(t, append([]string{"bench"}, strings.Fields(args)...)...); done.code == exitOK || !strings.Contains(done.errOut, says) {
			t.Errorf("%s: exit %d: %s", args, done.code, done.errOut)
		}
	}
}
