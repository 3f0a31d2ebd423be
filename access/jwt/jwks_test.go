package jwt_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/lanewise/lanewise/access/jwt"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/watched"
)

func TestFile_isReadAgainAndABadOneChangesNothing(t *testing.T) {
	old, next := newIssuer(t), newIssuer(t)
	file := write(t, set(old.jwkEd("a")))
	synctest.Test(t, func(t *testing.T) {
		v, err := jwt.New(config(file))
		if err != nil {
			t.Fatal(err)
		}
		expect := func(i issuer, kid string, good bool) {
			t.Helper()
			if _, err := v.Identify(t.Context(), sign(t, gojwt.SigningMethodEdDSA, i.ed, kid, claims(nil))); (err == nil) != good {
				t.Errorf("kid %s: %v", kid, err)
			}
		}
		replace := func(text string) {
			t.Helper()
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(watched.Every)
		}
		expect(old, "a", true)
		replace(set(old.jwkEd("a"), next.jwkEd("b")))
		expect(old, "a", true)
		expect(next, "b", true)
		for _, bad := range []string{"", "{", set(), set(`{"kty":"oct","kid":"a","k":"AAAA"}`)} {
			replace(bad)
			expect(next, "b", true)
		}
		replace(set(next.jwkEd("b")))
		expect(old, "a", false)
		expect(next, "b", true)
	})
}

func TestFile_refuses(t *testing.T) {
	i := newIssuer(t)
	short, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // that is the point
	if err != nil {
		t.Skip("this build makes no short keys: ", err)
	}
	for text, want := range map[string]string{
		`{"keys":[]}`:                          "no key that verifies",
		`{"keys":[{"use":"enc","kty":"RSA"}]}`: "no key that verifies",
		`[]`:                                   "read JSON",
		set(`{"kty":"oct","k":"AAAA"}`):        "is a secret",
		set(`{"kty":"OKP","crv":"Ed25519","x":"` + b64(i.ed.Public().(ed25519.PublicKey)) + `","d":"AA"}`): "is a secret",
		set(`{"kty":"OKP","crv":"X25519","x":"AA"}`):                                                       "Ed25519",
		set(`{"kty":"XX"}`):              "none of RSA",
		set(i.jwkEd("a"), i.jwkRSA("a")): "another key with the kid",
		set(`{"kty":"RSA","n":"` + b64(short.N.Bytes()) + `","e":"AQAB"}`):                                        "2048",
		set(`{"kty":"RSA","n":"` + b64(i.rsa.N.Bytes()) + `","e":"AQ"}`):                                          "exponent",
		set(`{"kty":"RSA","n":"` + b64(i.rsa.N.Bytes()) + `","e":"____________"}`):                                "exponent",
		set(`{"kty":"RSA","n":"!","e":"AQAB"}`):                                                                   "read JSON",
		set(strings.Replace(i.jwkEC("a"), "P-256", "P-384", 1)):                                                   "48 bytes",
		set(strings.Replace(i.jwkEC("a"), "P-256", "secp256k1", 1)):                                               "none of P-256",
		set(strings.Replace(i.jwkEC("a"), "ES256", "RS256", 1)):                                                   "does not go with",
		set(`{"kty":"EC","crv":"P-256","x":"` + b64(make([]byte, 32)) + `","y":"` + b64(make([]byte, 32)) + `"}`): "P-256",
	} {
		if _, err := jwt.New(config(write(t, text))); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
	}
	if _, err := jwt.New(config(filepath.Join(t.TempDir(), "none"))); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	bad := jwt.Config{Algorithms: []string{"HS256", "none"}}
	if _, err := jwt.New(bad); err == nil || strings.Count(err.Error(), "must not be empty") != 3 || !strings.Contains(err.Error(), `"HS256"`) || !strings.Contains(err.Error(), `"none"`) {
		t.Error(err)
	}
}

// Whatever stands in a file of keys either makes sense or says what is wrong.
func FuzzFile(f *testing.F) {
	f.Add(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"","y":""},{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}`)
	path := filepath.Join(f.TempDir(), "jwks.json")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := jwt.New(config(path)); err != nil && !errors.Is(err, fault.Invalid) {
			t.Error(err)
		}
	})
}
