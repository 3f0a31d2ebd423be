package jwt_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/access/jwt"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/watched"
)

// issuer signs tokens.
type issuer struct {
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
	ed  ed25519.PrivateKey
}

func newIssuer(tb testing.TB) issuer {
	tb.Helper()
	var i issuer
	var err error
	if i.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		tb.Fatal(err)
	}
	if i.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		tb.Fatal(err)
	}
	if _, i.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		tb.Fatal(err)
	}
	return i
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (i issuer) jwkRSA(kid string) string {
	return fmt.Sprintf(`{"kty":"RSA","kid":%q,"use":"sig","n":%q,"e":"AQAB"}`, kid, b64(i.rsa.N.Bytes()))
}

func (i issuer) jwkEC(kid string) string {
	point, _ := i.ec.PublicKey.Bytes()
	return fmt.Sprintf(`{"kty":"EC","kid":%q,"crv":"P-256","alg":"ES256","x":%q,"y":%q}`, kid, b64(point[1:33]), b64(point[33:]))
}

func (i issuer) jwkEd(kid string) string {
	return fmt.Sprintf(`{"kty":"OKP","kid":%q,"crv":"Ed25519","x":%q}`, kid, b64(i.ed.Public().(ed25519.PublicKey)))
}

func set(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

func write(tb testing.TB, text string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "jwks.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func sign(tb testing.TB, method gojwt.SigningMethod, key any, kid string, claims gojwt.MapClaims) string {
	tb.Helper()
	token := gojwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	out, err := token.SignedString(key)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// claims are those of a token that is good for an hour, with changes; nil takes one away.
func claims(change gojwt.MapClaims) gojwt.MapClaims {
	out := gojwt.MapClaims{"iss": "https://id.example", "aud": "lanewise", "sub": "ann", "exp": time.Now().Add(time.Hour).Unix(), "scope": "search openid", "tenant": "acme"}
	for name, value := range change {
		if out[name] = value; value == nil {
			delete(out, name)
		}
	}
	return out
}

func config(file string) jwt.Config {
	return jwt.Config{File: file, Issuer: "https://id.example", Audience: "lanewise"}
}

func TestIdentify_believesTheThreeKindsOfKeys(t *testing.T) {
	i := newIssuer(t)
	v, err := jwt.New(config(write(t, set(i.jwkRSA("r"), i.jwkEC("e"), i.jwkEd("d"), `{"kty":"RSA","kid":"r","use":"enc"}`))))
	if err != nil {
		t.Fatal(err)
	}
	want := access.Caller{Name: "jwt/ann", Scopes: access.Search, Tenant: "acme"}
	for _, token := range []string{
		sign(t, gojwt.SigningMethodRS256, i.rsa, "r", claims(nil)),
		sign(t, gojwt.SigningMethodES256, i.ec, "e", claims(nil)),
		sign(t, gojwt.SigningMethodEdDSA, i.ed, "d", claims(nil)),
		sign(t, gojwt.SigningMethodEdDSA, i.ed, "d", claims(gojwt.MapClaims{"aud": []string{"other", "lanewise"}, "scope": []string{"search", "x"}})),
	} {
		if got, err := v.Identify(t.Context(), token); err != nil || got != want {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestIdentify_refuses(t *testing.T) {
	i, other := newIssuer(t), newIssuer(t)
	v, err := jwt.New(config(write(t, set(i.jwkRSA("r"), i.jwkEC("e"), i.jwkEd("d")))))
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&i.rsa.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change gojwt.MapClaims) string {
		return sign(t, gojwt.SigningMethodEdDSA, i.ed, "d", claims(change))
	}
	good := changed(nil)
	for name, c := range map[string]struct{ token, why string }{
		"none":                          {sign(t, gojwt.SigningMethodNone, gojwt.UnsafeAllowNoneSignatureType, "r", claims(nil)), "algorithm"},
		"HMAC with the public key":      {sign(t, gojwt.SigningMethodHS256, public, "r", claims(nil)), "algorithm"},
		"HMAC with the modulus":         {sign(t, gojwt.SigningMethodHS256, i.rsa.N.Bytes(), "r", claims(nil)), "algorithm"},
		"an algorithm that is not on":   {sign(t, gojwt.SigningMethodPS256, i.rsa, "r", claims(nil)), "algorithm"},
		"the algorithm of another key":  {sign(t, gojwt.SigningMethodRS256, i.rsa, "e", claims(nil)), "kid and algorithm"},
		"an unknown kid":                {sign(t, gojwt.SigningMethodRS256, i.rsa, "x", claims(nil)), "kid"},
		"no kid, of several":            {sign(t, gojwt.SigningMethodRS256, i.rsa, "", claims(nil)), "kid"},
		"another's RSA key":             {sign(t, gojwt.SigningMethodRS256, other.rsa, "r", claims(nil)), "signature"},
		"another's EC key":              {sign(t, gojwt.SigningMethodES256, other.ec, "e", claims(nil)), "signature"},
		"another's Ed25519 key":         {sign(t, gojwt.SigningMethodEdDSA, other.ed, "d", claims(nil)), "signature"},
		"another audience":              {changed(gojwt.MapClaims{"aud": "others"}), "audience"},
		"no audience":                   {changed(gojwt.MapClaims{"aud": nil}), "missing"},
		"another issuer":                {changed(gojwt.MapClaims{"iss": "https://id.example/"}), "issuer"},
		"no issuer":                     {changed(gojwt.MapClaims{"iss": nil}), "missing"},
		"expired":                       {changed(gojwt.MapClaims{"exp": time.Now().Add(-time.Minute).Unix()}), "expired"},
		"never expires":                 {changed(gojwt.MapClaims{"exp": nil}), "missing"},
		"an expiry that is no number":   {changed(gojwt.MapClaims{"exp": "soon"}), "not hold"},
		"not yet valid":                 {changed(gojwt.MapClaims{"nbf": time.Now().Add(time.Minute).Unix()}), "not valid yet"},
		"cut short":                     {good[:len(good)-4], ""},
		"padded":                        {good + "==", "cannot be read"},
		"another body":                  {strings.Join([]string{strings.Split(good, ".")[0], b64([]byte(`{}`)), strings.Split(good, ".")[2]}, "."), ""},
		"no token":                      {"a.b.c", "cannot be read"},
		"nothing":                       {"..", "cannot be read"},
		"a header that is no object":    {b64([]byte(`[]`)) + ".e30.e30", "cannot be read"},
		"a kid that is no text":         {strings.Replace(good, strings.Split(good, ".")[0], b64([]byte(`{"alg":"EdDSA","kid":7}`)), 1), "kid"},
		"a critical header as a key":    {strings.Replace(good, strings.Split(good, ".")[0], b64([]byte(`{"alg":"EdDSA","jwk":`+i.jwkEd("d")+`}`)), 1), "kid"},
		"an algorithm nobody has heard": {strings.Replace(good, strings.Split(good, ".")[0], b64([]byte(`{"alg":"XX","kid":"d"}`)), 1), ""},
	} {
		got, err := v.Identify(t.Context(), c.token)
		if !errors.Is(err, fault.Unauthorized) || got != (access.Caller{}) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %+v, %v, want %q", name, got, err, c.why)
		}
	}
}

func TestIdentify_claims(t *testing.T) {
	i := newIssuer(t)
	file := write(t, set(i.jwkEd("d")))
	many := config(file)
	many.AllTenants, many.ScopeClaim, many.ScopePrefix, many.TenantClaim = true, "permissions", "lw:", "org"
	for name, c := range map[string]struct {
		config jwt.Config
		change gojwt.MapClaims
		want   access.Caller // none: forbidden
	}{
		"a tenant takes replica and admin away": {config(file), gojwt.MapClaims{"scope": "admin replica write"}, access.Caller{Name: "jwt/ann", Scopes: access.Write, Tenant: "acme"}},
		"no tenant":                             {config(file), gojwt.MapClaims{"tenant": nil}, access.Caller{}},
		"an empty tenant":                       {config(file), gojwt.MapClaims{"tenant": ""}, access.Caller{}},
		"a tenant that is no text":              {config(file), gojwt.MapClaims{"tenant": []string{"a"}}, access.Caller{}},
		"a tenant that is too long":             {config(file), gojwt.MapClaims{"tenant": strings.Repeat("a", 257)}, access.Caller{}},
		"no scopes":                             {config(file), gojwt.MapClaims{"scope": nil}, access.Caller{Name: "jwt/ann", Tenant: "acme"}},
		"all tenants":                           {many, gojwt.MapClaims{"permissions": []string{"lw:admin", "search", "lw:embed"}}, access.Caller{Name: "jwt/ann", Scopes: access.Admin | access.Embed}},
		"all tenants, but bound to one":         {many, gojwt.MapClaims{"permissions": "lw:search", "org": "o"}, access.Caller{Name: "jwt/ann", Scopes: access.Search, Tenant: "o"}},
		"all tenants, an empty one":             {many, gojwt.MapClaims{"org": ""}, access.Caller{}},
	} {
		v, err := jwt.New(c.config)
		if err != nil {
			t.Fatal(err)
		}
		got, err := v.Identify(t.Context(), sign(t, gojwt.SigningMethodEdDSA, i.ed, "", claims(c.change)))
		if got != c.want || (err == nil) != (c.want != access.Caller{}) || err != nil && !errors.Is(err, fault.Forbidden) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// A subject goes into logs and metrics: what does not belong there is replaced, and stays the same for each.
func TestIdentify_namesAreHarmless(t *testing.T) {
	i := newIssuer(t)
	v, err := jwt.New(config(write(t, set(i.jwkEd("d")))))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, subject := range []any{"a b", "line\nbreak", strings.Repeat("x", 300), "ü", "", 7, nil} {
		got, err := v.Identify(t.Context(), sign(t, gojwt.SigningMethodEdDSA, i.ed, "d", claims(gojwt.MapClaims{"sub": subject})))
		if err != nil || len(got.Name) != len("jwt/")+12 {
			t.Errorf("%v: %q, %v", subject, got.Name, err)
		}
		seen[got.Name] = true
	}
	if len(seen) < 6 { // the empty one and none may be alike
		t.Errorf("%d names: %v", len(seen), seen)
	}
}

func TestIdentify_allowsForClocks(t *testing.T) {
	i := newIssuer(t)
	file := write(t, set(i.jwkEd("d")))
	synctest.Test(t, func(t *testing.T) {
		token := sign(t, gojwt.SigningMethodEdDSA, i.ed, "d", claims(gojwt.MapClaims{"exp": time.Now().Add(time.Minute).Unix()}))
		expect := func(leeway time.Duration, good bool) {
			t.Helper()
			c := config(file)
			c.Leeway = leeway
			v, err := jwt.New(c)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v.Identify(t.Context(), token); (err == nil) != good {
				t.Errorf("leeway %v: %v", leeway, err)
			}
		}
		time.Sleep(time.Minute)
		expect(-1, false)
		time.Sleep(jwt.DefaultLeeway - time.Second)
		expect(0, true)
		time.Sleep(time.Second)
		expect(0, false)
		expect(time.Minute, true)
	})
}

// A token that was believed is remembered: until it expires, or until its key is taken out.
func TestIdentify_remembersNoLongerThanItMay(t *testing.T) {
	i, other := newIssuer(t), newIssuer(t)
	for _, keyGoes := range []bool{false, true} {
		file := write(t, set(i.jwkEd("d")))
		synctest.Test(t, func(t *testing.T) {
			v, err := jwt.New(config(file))
			if err != nil {
				t.Fatal(err)
			}
			token := sign(t, gojwt.SigningMethodEdDSA, i.ed, "d", claims(gojwt.MapClaims{"exp": time.Now().Add(time.Minute).Unix()}))
			expect := func(good bool) {
				t.Helper()
				if c, err := v.Identify(t.Context(), token); (err == nil) != good || good && c.Name != "jwt/ann" {
					t.Errorf("key goes: %v; %v, %v", keyGoes, c, err)
				}
			}
			expect(true)
			if keyGoes {
				if err := os.WriteFile(file, []byte(set(other.jwkEd("d"))), 0o600); err != nil {
					t.Fatal(err)
				}
				time.Sleep(watched.Every)
				expect(false)
				return
			}
			time.Sleep(time.Minute + jwt.DefaultLeeway - time.Second)
			expect(true)
			time.Sleep(time.Second)
			expect(false)
		})
	}
}

// BenchmarkIdentify is what a request pays for its token: one that is new, by the kind of its key, and one that was seen.
func BenchmarkIdentify(b *testing.B) {
	i := newIssuer(b)
	file := write(b, set(i.jwkRSA("r"), i.jwkEC("e"), i.jwkEd("d")))
	for _, k := range []struct {
		kid    string
		method gojwt.SigningMethod
		key    any
	}{{"r", gojwt.SigningMethodRS256, i.rsa}, {"e", gojwt.SigningMethodES256, i.ec}, {"d", gojwt.SigningMethodEdDSA, i.ed}} {
		tokens := make([]string, 200)
		for n := range tokens {
			tokens[n] = sign(b, k.method, k.key, k.kid, claims(gojwt.MapClaims{"jti": fmt.Sprint(n)}))
		}
		for name, own := range map[string]int{"new": len(tokens), "seen": 1} {
			b.Run(k.method.Alg()+"/"+name, func(b *testing.B) { identify(b, file, tokens[:own]) })
		}
	}
}

// identify shows tokens in turn. Where there are several none of them was seen before.
func identify(b *testing.B, file string, tokens []string) {
	b.Helper()
	var v *jwt.Verifier
	for n := 0; b.Loop(); n++ {
		if n == 0 || len(tokens) > 1 && n%len(tokens) == 0 {
			b.StopTimer()
			var err error
			if v, err = jwt.New(config(file)); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		if _, err := v.Identify(b.Context(), tokens[n%len(tokens)]); err != nil {
			b.Fatal(err)
		}
	}
}

func TestGate_knowsKeysAndTokens(t *testing.T) {
	i := newIssuer(t)
	v, err := jwt.New(config(write(t, set(i.jwkEd("d")))))
	if err != nil {
		t.Fatal(err)
	}
	g, err := access.New(access.Config{Keys: []access.Key{{Name: "dotted", Digest: access.DigestOf("a.b.c"), Scopes: access.Embed}}, Tokens: v})
	if err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]string{
		"a.b.c": "dotted", "a.b.d": "", "plain": "", sign(t, gojwt.SigningMethodEdDSA, i.ed, "d", claims(nil)): "jwt/ann",
	} {
		if got, err := g.Identify(t.Context(), token); got.Name != want || (err == nil) != (want != "") {
			t.Errorf("%.20s: %+v, %v", token, got, err)
		}
	}
}

// Whatever a client sends as a token is refused, unless it was signed.
func FuzzIdentify(f *testing.F) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	path := filepath.Join(f.TempDir(), "jwks.json")
	if err := os.WriteFile(path, []byte(set(fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","x":%q}`, b64(public)))), 0o600); err != nil {
		f.Fatal(err)
	}
	v, err := jwt.New(config(path))
	if err != nil {
		f.Fatal(err)
	}
	genuine, err := gojwt.NewWithClaims(gojwt.SigningMethodEdDSA, claims(nil)).SignedString(crypto.Signer(private))
	if err != nil {
		f.Fatal(err)
	}
	for part := range strings.SplitSeq(genuine, ".") {
		f.Add(part, "e30", "e30")
	}
	f.Add(b64([]byte(`{"alg":"none"}`)), b64([]byte(`{"exp":1e999}`)), "")
	f.Fuzz(func(t *testing.T, header, body, signature string) {
		token := header + "." + body + "." + signature
		if _, err := v.Identify(t.Context(), token); token != genuine && !errors.Is(err, fault.Unauthorized) {
			t.Errorf("%q: %v", token, err)
		}
	})
}

func Example() {
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir) //nolint:errcheck // an example
	file := filepath.Join(dir, "jwks.json")
	keys, _ := json.Marshal(map[string]any{"keys": []map[string]string{{"kty": "OKP", "crv": "Ed25519", "kid": "2026", "x": b64(public)}}})
	_ = os.WriteFile(file, keys, 0o600)

	v, err := jwt.New(jwt.Config{File: file, Issuer: "https://id.example", Audience: "lanewise"})
	if err != nil {
		fmt.Println(err)
		return
	}
	token, _ := gojwt.NewWithClaims(gojwt.SigningMethodEdDSA, gojwt.MapClaims{
		"iss": "https://id.example", "aud": "lanewise", "exp": time.Now().Add(time.Hour).Unix(), "sub": "ann", "tenant": "acme", "scope": "search answer",
	}).SignedString(private)

	caller, err := v.Identify(context.Background(), token)
	fmt.Println(caller.Name, caller.Tenant, caller.Scopes.Names(), err)
	// Output: jwt/ann acme [search answer] <nil>
}
