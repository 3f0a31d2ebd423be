package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// Every key that a file may hold is in the manual, and every default that the
// manual states in a cell of its own is what Resolved fills in.
func TestDocs_nameEveryKey(t *testing.T) {
	data, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	manual := string(data)
	var walk func(prefix string, typ reflect.Type)
	walk = func(prefix string, typ reflect.Type) {
		for name, i := range keys(typ) {
			path, field := join(prefix, name), typ.Field(i).Type
			if field.Kind() == reflect.Slice && field.Elem().Kind() == reflect.Struct {
				path, field = path+"[]", field.Elem()
			}
			switch {
			case field == reflect.TypeFor[EmbedUpstream](), field == reflect.TypeFor[LLMUpstream](), field == reflect.TypeFor[RerankUpstream]():
				walk("", field)
			case path == "shards[].lexical[]": // as a replica
			case field == reflect.TypeFor[discover]():
				walk("discover", field)
			case field.Kind() == reflect.Struct:
				walk(path, field)
			case !strings.Contains(manual, "`"+path+"`"):
				t.Errorf("docs/configuration.md does not name %s", path)
			}
		}
	}
	walk("", reflect.TypeFor[Config]())
}

func TestDocs_stateTheDefaults(t *testing.T) {
	data, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	r := Local("x").Resolved()
	for path, value := range map[string]string{
		"listen": "`" + r.Listen + "`", "embed.cache": "`" + r.Embed.Cache.String() + "`", "limits.body": "`" + r.Limits.Body.String() + "`",
		"timeouts.search": "`2s`", "timeouts.shutdown": "`10s`", "hedge.delay": "`30ms`", "hedge.quantile": "0.98", "log.level": "`info`",
	} {
		if !strings.Contains(rowOf(string(data), path), "| "+value+" |") {
			t.Errorf("the manual's row %q does not state %s", rowOf(string(data), path), value)
		}
	}
	if r.Timeouts.Search.String() != "2s" || r.Timeouts.Shutdown.String() != "10s" || r.Hedge.Delay.String() != "30ms" || r.Hedge.Quantile != 0.98 || r.Log.Level != "info" {
		t.Errorf("the defaults have changed: %+v", r)
	}
}

func rowOf(manual, path string) string {
	for line := range strings.Lines(manual) {
		if strings.HasPrefix(line, "| `"+path+"`") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
