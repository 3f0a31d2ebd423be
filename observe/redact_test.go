package observe

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestRedact_findsSecretsEverywhere(t *testing.T) {
	var out bytes.Buffer
	const secret, longer = "s3cret-key", "s3cret-key-and-more"
	log := slog.New(Redact(slog.NewJSONHandler(&out, nil), []string{secret, longer, "", "abc", secret}))
	log.With("with", secret).WithGroup("g").Error("message "+secret, "text", "a "+secret+" b", "error", errors.New("key "+longer+" is refused"),
		slog.Group("inner", "text", secret), "number", 5, "abc", "abc")
	got := out.String()
	if strings.Contains(got, secret) || strings.Contains(got, "and-more") {
		t.Errorf("the log shows a secret: %s", got)
	}
	for _, want := range []string{`"number":5`, `"abc":"abc"`, `"error":"key [secret] is refused"`, `"inner":{"text":"[secret]"}`} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %s in %s", want, got)
		}
	}
}

func TestRedact_costsNothingWithoutSecrets(t *testing.T) {
	h := slog.NewTextHandler(&bytes.Buffer{}, nil)
	if Redact(h, []string{"", "abc"}) != slog.Handler(h) {
		t.Error("the handler is wrapped")
	}
}
