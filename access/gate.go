package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"strings"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/watched"
)

// Config says which keys are known.
type Config struct {
	Keys []Key        // in force as long as the gate
	File string       // more of them, read again when it changes; empty: none
	Log  *slog.Logger // changes of the file; nil: none
	// Tokens knows callers by tokens that are no keys; nil: there are none.
	Tokens interface {
		Identify(ctx context.Context, token string) (Caller, error)
	}
}

// Gate tells callers by their tokens. Safe for concurrent use.
type Gate struct {
	config Config
	fixed  ring
	file   *watched.Value[ring] // nil: none
}

// New returns a gate. Its error says which key makes no sense, or that the file cannot be read.
func New(c Config) (*Gate, error) {
	fixed, err := newRing(c.Keys)
	if err != nil {
		return nil, err
	}
	g := &Gate{config: c, fixed: fixed}
	if c.File == "" {
		return g, nil
	}
	g.file, err = watched.New(c.Log, func() (ring, error) {
		keys, err := ReadFile(c.File)
		if err != nil {
			return ring{}, err
		}
		return newRing(keys)
	}, c.File)
	return g, err
}

// Identify returns who shows a token. It is fault.Unauthorized where nobody is known by it; the error
// does not repeat the token.
func (g *Gate) Identify(ctx context.Context, token string) (Caller, error) {
	if c, ok := g.fixed.find(token); ok {
		return c, nil
	}
	if g.file != nil {
		if c, ok := g.file.Get().find(token); ok {
			return c, nil
		}
	}
	if g.config.Tokens != nil && strings.Count(token, ".") == 2 { // the form of a signed token
		return g.config.Tokens.Identify(ctx, token)
	}
	return Caller{}, fault.New(fault.Unauthorized, "the key is not known here")
}

// ring finds keys. It never changes.
//
// A key is looked up by a digest of its digest and of a number that is drawn for each ring, so that the
// time which a look-up takes tells nothing about which tokens would come close; what
// is found is then compared in constant time.
type ring struct {
	salt [32]byte
	keys map[Digest]*Key
}

func newRing(keys []Key) (ring, error) {
	if err := checkAll(keys); err != nil {
		return ring{}, err
	}
	r := ring{keys: make(map[Digest]*Key, len(keys))}
	_, _ = rand.Read(r.salt[:]) // it never fails
	for _, k := range keys {
		r.keys[r.place(k.Digest)] = &k
	}
	return r, nil
}

// place is where a key is looked up.
func (r *ring) place(d Digest) Digest {
	var both [64]byte
	copy(both[:32], r.salt[:])
	copy(both[32:], d[:])
	return sha256.Sum256(both[:])
}

func (r ring) find(token string) (Caller, bool) {
	digest := DigestOf(token)
	k := r.keys[r.place(digest)]
	if k == nil || subtle.ConstantTimeCompare(k.Digest[:], digest[:]) != 1 {
		return Caller{}, false
	}
	return Caller{Name: k.Name, Scopes: k.Scopes, Tenant: k.Tenant, Limits: k.Limits}, true
}
