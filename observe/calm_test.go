package observe

import (
	"bytes"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestCalm_countsWhatRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(Calm(slog.NewTextHandler(&out, nil)))
		part := log.With("part", "quota").WithGroup("g")
		for i := range 25 {
			log.Warn("the store is away")
			log.Info("routine")
			if i < 3 {
				part.Warn("the store is away", "n", i)
			}
		}
		log.Error("another one")
		if away, all := strings.Count(out.String(), "away"), strings.Count(out.String(), "routine"); away != calmFirst || all != 25 || !strings.Contains(out.String(), "another one") {
			t.Errorf("%d warnings, %d others: %s", away, all, out.String())
		}
		out.Reset()
		time.Sleep(calmSpan)
		log.Warn("the store is away")
		log.Warn("the store is away")
		if got := out.String(); strings.Count(got, "skipped=18") != 1 || strings.Count(got, "away") != 2 {
			t.Errorf("after a while: %s", got)
		}
	})
}

func TestCalm_isBounded(t *testing.T) {
	var seen repeated
	for i := range 2 * calmMost {
		if _, wanted := seen.count(strconv.Itoa(i), time.Now()); !wanted {
			t.Fatalf("%d is not told", i)
		}
	}
	if len(seen.said) != calmMost {
		t.Errorf("%d kinds are counted", len(seen.said))
	}
}
