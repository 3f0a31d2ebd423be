package relay_test

import (
	"errors"
	"testing"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm/relay"
)

// A call is read or refused as the client's; one that is read keeps its bytes.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"}]}],"stream":true,"stream_options":{"include_usage":true},"n":2}`), true)
	f.Add([]byte(`{"prompt":["a",[1,2]],"max_tokens":1e3,"best_of":3,"model":"\ud83d\ude00"}`), false)
	f.Fuzz(func(t *testing.T, body []byte, chat bool) {
		at := relay.Text
		if chat {
			at = relay.Chat
		}
		before := string(body)
		c, err := relay.Parse(at, body)
		switch {
		case err != nil && !errors.Is(err, fault.Invalid):
			t.Error(err)
		case err == nil && (string(c.Body()) != before || c.PromptTokens < 0 || c.Answers < 1):
			t.Errorf("%+v", c)
		}
	})
}
