package access_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/fault"
)

func Example() {
	secret := access.NewSecret() // shown once; only its digest is kept
	gate, err := access.New(access.Config{Keys: []access.Key{
		{Name: "website", Digest: access.DigestOf(secret), Scopes: access.Search | access.Answer, Tenant: "acme"},
	}})
	if err != nil {
		panic(err)
	}
	caller, _ := gate.Identify(context.Background(), secret)
	fmt.Println(caller.Name, caller.Scopes.Names(), caller.Tenant)
	fmt.Println(caller.Need(access.Write))
	_, err = caller.TenantOf("umbrella", "/tenant")
	fmt.Println(err)
	// Output:
	// website [search answer] acme
	// the key lacks the scope write
	// /tenant: the key is for another tenant
}

func TestGate_knowsExactTokens(t *testing.T) {
	g, err := access.New(access.Config{Keys: []access.Key{
		{Name: "a", Digest: access.DigestOf("secret"), Scopes: access.All}, {Name: "b", Digest: access.DigestOf("other"), Scopes: access.Embed},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := g.Identify(t.Context(), "other"); err != nil || c.Name != "b" || c.Scopes != access.Embed {
		t.Error(c, err)
	}
	digest, _ := access.DigestOf("secret").MarshalText()
	for _, token := range []string{"", "secre", "secret ", "Secret", "a", string(digest), strings.Repeat("x", 1<<16)} {
		if c, err := g.Identify(t.Context(), token); !errors.Is(err, fault.Unauthorized) || c != (access.Caller{}) {
			t.Errorf("%.20q: %v, %v", token, c, err)
		}
	}
}

func TestNew_refusesKeysThatMakeNoSense(t *testing.T) {
	good := access.Key{Name: "a", Digest: access.DigestOf("x"), Scopes: access.Search}
	with := func(change func(*access.Key)) []access.Key {
		k := good
		change(&k)
		return []access.Key{k}
	}
	for want, keys := range map[string][]access.Key{
		"keys[0]: name":         with(func(k *access.Key) { k.Name = "a b" }),
		"no scopes":             with(func(k *access.Key) { k.Scopes = access.None }),
		"has no secret":         with(func(k *access.Key) { k.Digest = access.DigestOf("") }),
		"reach all tenants":     with(func(k *access.Key) { k.Tenant, k.Scopes = "t", access.Replica }),
		"keys[1]: key \"a\" is": {good, good},
	} {
		if _, err := access.New(access.Config{Keys: keys}); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestNewSecret_has256RandomBits(t *testing.T) {
	a, b := access.NewSecret(), access.NewSecret()
	if a == b || len(a) != len(access.SecretPrefix)+43 || !strings.HasPrefix(a, access.SecretPrefix) {
		t.Error(a, b)
	}
}

func TestFile_roundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	if _, err := access.ReadFile(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	secret := access.NewSecret()
	keys := []access.Key{
		{Name: "ci", Digest: access.DigestOf(secret), Scopes: access.Write | access.Search, Tenant: "acme", Created: time.Unix(1e9, 0).UTC()},
		{Name: "ops", Digest: access.DigestOf("b"), Scopes: access.All},
	}
	if err := access.WriteFile(path, keys); err != nil {
		t.Fatal(err)
	}
	got, err := access.ReadFile(path)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(keys) {
		t.Errorf("%v, %v", got, err)
	}
	data, _ := os.ReadFile(path)
	info, _ := os.Stat(path)
	if strings.Contains(string(data), secret) || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, content %s", info.Mode(), data)
	}
	if err := access.WriteFile(path, append(keys, keys[0])); err == nil {
		t.Error("a key was written twice")
	}
}

func TestReadFile_isStrict(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	for _, content := range []string{
		``, `{"keys": [{"name": "a"}]}`, `{"keys": [], "more": 1}`, `{"keys": []} {}`, `{"keys": [{"name": "a", "sha256": "12", "scopes": ["search"]}]}`,
		`{"keys": [{"name": "a", "sha256": "` + strings.Repeat("z", 64) + `", "scopes": ["search"]}]}`,
		`{"keys": [{"name": "a", "sha256": "` + strings.Repeat("1", 64) + `", "scopes": ["serach"]}]}`,
		`{"keys": [{"name": "a", "sha256": "` + strings.Repeat("1", 64) + `", "scopes": ["search"], "tenent": "x"}]}`,
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if keys, err := access.ReadFile(path); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, %v", content, keys, err)
		}
	}
}

// A key that is revoked is of no use within a second, and a file that is broken changes nothing.
func TestGate_followsItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	one := access.Key{Name: "one", Digest: access.DigestOf("1"), Scopes: access.Search}
	two := access.Key{Name: "two", Digest: access.DigestOf("2"), Scopes: access.Search}
	write := func(keys ...access.Key) {
		t.Helper()
		if err := access.WriteFile(path, keys); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := access.New(access.Config{File: path}); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a gate without its file:", err)
	}
	write(one)
	synctest.Test(t, func(t *testing.T) {
		g, err := access.New(access.Config{File: path, Keys: []access.Key{{Name: "fixed", Digest: access.DigestOf("0"), Scopes: access.All}}})
		if err != nil {
			t.Fatal(err)
		}
		expect := func(want string) {
			t.Helper()
			got := ""
			for _, token := range []string{"0", "1", "2"} {
				if _, err := g.Identify(t.Context(), token); err == nil {
					got += token
				}
			}
			if got != want {
				t.Errorf("known are %q, want %q", got, want)
			}
		}
		expect("01")
		write(one, two)
		time.Sleep(time.Second)
		expect("012")
		write(two)
		time.Sleep(time.Second)
		expect("02")
		if err := os.WriteFile(path, []byte(`{"keys": [`), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		expect("02")
		write()
		time.Sleep(time.Second)
		expect("0")
	})
}

// Keys that are added at the same time are all there afterwards.
func TestUpdateFile_oneAfterTheOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			err := access.UpdateFile(path, func(keys []access.Key) ([]access.Key, error) {
				name := fmt.Sprint("k", i)
				return append(keys, access.Key{Name: name, Digest: access.DigestOf(name), Scopes: access.Search}), nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if keys, err := access.ReadFile(path); err != nil || len(keys) != 20 {
		t.Errorf("%d keys, %v", len(keys), err)
	}
	refused := errors.New("no")
	if err := access.UpdateFile(path, func([]access.Key) ([]access.Key, error) { return nil, refused }); !errors.Is(err, refused) {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := access.UpdateFile(path, func(k []access.Key) ([]access.Key, error) { return k, nil }); !errors.Is(err, fault.Invalid) {
		t.Errorf("a file that cannot be read is replaced: %v", err)
	}
}

func TestLimits_areCheckedAndKept(t *testing.T) {
	k := access.Key{Name: "a", Digest: access.DigestOf("a"), Scopes: access.Search, Limits: access.Limits{TokensPerDay: 5, CostPerMonth: 0.5}}
	text, err := json.Marshal(k)
	var again access.Key
	if err != nil || again.UnmarshalJSON(text) != nil || again != k || !strings.Contains(string(text), `"limits":{"tokens_per_day":5,"cost_per_month":0.5}`) {
		t.Errorf("%v %s %+v", err, text, again)
	}
	for _, l := range []access.Limits{{RequestsPerMinute: -1}, {CostPerDay: math.NaN()}, {CostPerMonth: math.Inf(1)}, {TokensPerMonth: -1}} {
		k.Limits = l
		if err := k.Check(); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), `key "a": limits: `) {
			t.Errorf("%+v: %v", l, err)
		}
	}
	if (access.Limits{RequestsPerMinute: 1, TokensPerMinute: 1}).Budgeted() || !(access.Limits{CostPerDay: 1}).Budgeted() {
		t.Error("rates are taken for budgets")
	}
}

func TestCaller_inTheContext(t *testing.T) {
	if c := access.From(t.Context()); c.Need(access.All) == nil {
		t.Error("a context without a caller may do something")
	}
	c := access.Caller{Name: "x", Scopes: access.Embed, Tenant: "t"}
	if got := access.From(access.With(t.Context(), c)); got != c {
		t.Error(got)
	}
	if got, err := c.TenantOf("", "/tenant"); got != "t" || err != nil {
		t.Error(got, err)
	}
	if _, err := c.TenantOf("u", "/tenant"); !errors.Is(err, fault.Forbidden) || fault.Field(err) != "/tenant" {
		t.Error(err)
	}
}

func FuzzReadKey(f *testing.F) {
	f.Add([]byte(`{"name": "a", "sha256": "00", "scopes": ["search"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var k access.Key
		if k.UnmarshalJSON(data) != nil {
			return
		}
		text, err := json.Marshal(k)
		var again access.Key
		if err != nil || again.UnmarshalJSON(text) != nil || again.Name != k.Name || again.Digest != k.Digest || again.Scopes != k.Scopes {
			t.Errorf("%s: %v %v", text, k, again)
		}
	})
}

// Whatever stands in a file of keys either makes sense or says what is wrong.
func FuzzReadFile(f *testing.F) {
	f.Add(`{"keys": [{"name": "a", "sha256": "` + strings.Repeat("01", 32) + `", "scopes": ["search"], "limits": {"tokens_per_day": 5}}]}`)
	path := filepath.Join(f.TempDir(), "keys.json")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		keys, err := access.ReadFile(path)
		if err == nil {
			_, err = access.New(access.Config{Keys: keys})
		}
		if err != nil && !errors.Is(err, fault.Invalid) {
			t.Error(err)
		}
	})
}

func BenchmarkIdentify(b *testing.B) {
	keys := make([]access.Key, 1000)
	for i := range keys {
		keys[i] = access.Key{Name: fmt.Sprint(i), Digest: access.DigestOf(fmt.Sprint("s", i)), Scopes: access.All}
	}
	g, err := access.New(access.Config{Keys: keys})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := g.Identify(context.Background(), "s500"); err != nil {
			b.Fatal(err)
		}
	}
}
