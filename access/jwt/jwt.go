package jwt

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/watched"
)

// Algorithms lists those that a token may be signed with: asymmetric ones only. A server that took
// symmetric ones, too, could be shown a token signed with its own public key.
func Algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// DefaultLeeway is by how much the clocks of issuer and server may differ.
const DefaultLeeway = 30 * time.Second

// Config says whose tokens are believed, and what their claims mean.
type Config struct {
	File     string // of a JWK set with public keys; read again when it changes
	Issuer   string // that "iss" must name
	Audience string // that "aud" must name, among others maybe
	// Algorithms that are taken; none: RS256, ES256 and EdDSA.
	Algorithms []string
	Leeway     time.Duration // 0: DefaultLeeway; negative: none

	ScopeClaim  string // with scopes, as a list or as words of one text; empty: "scope"
	ScopePrefix string // that the names of scopes have in the claim, such as "lanewise:"; words without it mean others
	TenantClaim string // empty: "tenant"
	// AllTenants lets callers without the tenant's claim reach all tenants. Otherwise they reach nothing.
	AllTenants bool
	Limits     access.Limits // of what each subject may use

	Log *slog.Logger // changes of the file; nil: none
}

// Verifier tells callers by their tokens. Safe for concurrent use.
type Verifier struct {
	config Config
	parser *jwt.Parser
	keys   *watched.Value[trusted]
}

// New returns a verifier. Its error says which setting makes no sense, or that the file cannot be read.
func New(c Config) (*Verifier, error) {
	c.Algorithms = slices.Clone(c.Algorithms)
	if len(c.Algorithms) == 0 {
		c.Algorithms = []string{"RS256", "ES256", "EdDSA"}
	}
	c.ScopeClaim, c.TenantClaim = cmp.Or(c.ScopeClaim, "scope"), cmp.Or(c.TenantClaim, "tenant")
	if err := c.validate(); err != nil {
		return nil, err
	}
	keys, err := watched.New(c.Log, func() (trusted, error) {
		set, err := readSet(c.File)
		return trusted{set, &seen{callers: map[[sha256.Size]byte]believed{}}}, err
	}, c.File)
	if err != nil {
		return nil, err
	}
	v := &Verifier{config: c, keys: keys}
	v.parser = jwt.NewParser(
		jwt.WithValidMethods(c.Algorithms), jwt.WithIssuer(c.Issuer), jwt.WithAudience(c.Audience),
		jwt.WithExpirationRequired(), jwt.WithLeeway(v.leeway()), jwt.WithStrictDecoding(),
	)
	return v, nil
}

func (c Config) validate() error {
	var errs []error
	for name, value := range map[string]string{"file": c.File, "issuer": c.Issuer, "audience": c.Audience} {
		if value == "" {
			errs = append(errs, fault.New(fault.Invalid, "%s: must not be empty", name))
		}
	}
	for i, a := range c.Algorithms {
		if !slices.Contains(Algorithms(), a) {
			errs = append(errs, fault.New(fault.Invalid, "algorithms[%d]: %q is none of %s", i, a, strings.Join(Algorithms(), ", ")))
		}
	}
	return errors.Join(append(errs, c.Limits.Check())...)
}

// Identify returns whom a token speaks of. It is fault.Unauthorized where the token is not believed, and says
// why without repeating it; fault.Forbidden where it is, and gives no access.
func (v *Verifier) Identify(_ context.Context, token string) (access.Caller, error) {
	digest, known := sha256.Sum256([]byte(token)), v.keys.Get().seen
	if caller, ok := known.of(&digest); ok {
		return caller, nil
	}
	claims := jwt.MapClaims{}
	if _, err := v.parser.ParseWithClaims(token, claims, v.keyOf); err != nil {
		return access.Caller{}, fault.New(fault.Unauthorized, "the token is not believed: %s", why(err))
	}
	caller, err := v.caller(claims)
	if end, _ := claims.GetExpirationTime(); err == nil && end != nil {
		known.enter(&digest, believed{caller, end.Add(v.leeway())})
	}
	return caller, err
}

func (v *Verifier) leeway() time.Duration { return max(cmp.Or(v.config.Leeway, DefaultLeeway), 0) }

var errKey = errors.New("no key")

// keyOf returns the key that a token names. One that names none is taken to mean the only one.
func (v *Verifier) keyOf(t *jwt.Token) (any, error) {
	set := v.keys.Get().keys
	given, named := t.Header["kid"]
	kid, _ := given.(string)
	k, ok := set[kid]
	if !named && len(set) == 1 {
		for _, k = range set {
			ok = true
		}
	}
	if !ok || !slices.Contains(k.algorithms, t.Method.Alg()) {
		return nil, errKey
	}
	return k.public, nil
}

// why words the library's errors, none of which may repeat what the client sent.
func why(err error) string {
	for _, c := range [...]struct {
		is   error
		text string
	}{
		{errKey, "no key here has its kid and algorithm"},
		{jwt.ErrTokenMalformed, "it cannot be read"},
		{jwt.ErrTokenSignatureInvalid, "its signature or algorithm is wrong"},
		{jwt.ErrTokenExpired, "it has expired"},
		{jwt.ErrTokenNotValidYet, "it is not valid yet"},
		{jwt.ErrTokenInvalidAudience, "it is for another audience"},
		{jwt.ErrTokenInvalidIssuer, "it is from another issuer"},
		{jwt.ErrTokenRequiredClaimMissing, "exp, iss or aud is missing"},
	} {
		if errors.Is(err, c.is) {
			return c.text
		}
	}
	return "it does not hold what it should"
}

// caller makes a caller of the claims.
func (v *Verifier) caller(claims jwt.MapClaims) (access.Caller, error) {
	c := access.Caller{Name: "jwt/" + name(claims), Limits: v.config.Limits}
	for _, word := range words(claims[v.config.ScopeClaim]) {
		if plain, ours := strings.CutPrefix(word, v.config.ScopePrefix); ours {
			scope, err := access.ParseScopes([]string{plain})
			if err == nil { // others are those of other servers
				c.Scopes |= scope
			}
		}
	}
	tenant, given := claims[v.config.TenantClaim]
	text, isText := tenant.(string)
	switch {
	case !given && !v.config.AllTenants:
		return access.Caller{}, fault.New(fault.Forbidden, "the token lacks the claim %q, which says whose points it reaches", v.config.TenantClaim)
	case given && (!isText || text == "" || len(text) > access.MaxName):
		return access.Caller{}, fault.New(fault.Forbidden, "the claim %q must be a text of 1 to %d bytes", v.config.TenantClaim, access.MaxName)
	case given:
		c.Tenant = text
		c.Scopes &^= access.Replica | access.Admin // these reach all tenants
	}
	return c, nil
}

// words are those of a text, or the texts of a list.
func words(claim any) []string {
	switch c := claim.(type) {
	case string:
		return strings.Fields(c)
	case []any:
		out := make([]string, 0, len(c))
		for _, word := range c {
			if text, ok := word.(string); ok {
				out = append(out, text)
			}
		}
		return out
	}
	return nil
}

// name is the subject, for logs; one that does not belong there stands in by a digest.
func name(claims jwt.MapClaims) string {
	subject, _ := claims["sub"].(string)
	odd := func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }
	if subject != "" && len(subject) <= access.MaxName/2 && !strings.ContainsFunc(subject, odd) {
		return subject
	}
	if subject == "" {
		data, _ := json.Marshal(claims["sub"])
		subject = string(data)
	}
	sum := sha256.Sum256([]byte(subject))
	return hex.EncodeToString(sum[:6])
}
