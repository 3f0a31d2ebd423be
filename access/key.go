package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// SecretPrefix begins every secret that NewSecret draws, so that people and scanners know one when they see it.
const SecretPrefix = "lw_"

// NewSecret draws the secret of a key: 256 random bits.
func NewSecret() string {
	var bits [32]byte
	_, _ = rand.Read(bits[:]) // it never fails
	return SecretPrefix + base64.RawURLEncoding.EncodeToString(bits[:])
}

// Digest is the SHA-256 of a secret.
type Digest [sha256.Size]byte

// DigestOf computes the digest of a secret.
func DigestOf(secret string) Digest { return sha256.Sum256([]byte(secret)) }

// MarshalText writes 64 hexadecimal digits.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText reads 64 hexadecimal digits.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) != 2*sha256.Size {
		return fault.New(fault.Invalid, "a SHA-256 digest has %d hexadecimal digits, not %d", 2*sha256.Size, len(text))
	}
	if _, err := hex.Decode(d[:], text); err != nil {
		return fault.Wrap(fault.Invalid, "read a SHA-256 digest", err)
	}
	return nil
}

// Key is what is kept of a key.
type Key struct {
	Name    string // unique, shown in logs
	Digest  Digest
	Scopes  Scopes
	Tenant  string    // that it is bound to; empty: it reaches all of them
	Limits  Limits    // of what its callers may use
	Created time.Time // zero: not known
}

// keyForm is a Key in a file.
type keyForm struct {
	Name    string    `json:"name"`
	SHA256  Digest    `json:"sha256"`
	Scopes  []string  `json:"scopes"`
	Tenant  string    `json:"tenant,omitzero"`
	Limits  Limits    `json:"limits,omitzero"`
	Created time.Time `json:"created,omitzero"`
}

// MarshalJSON writes the form that key files have.
func (k Key) MarshalJSON() ([]byte, error) {
	return json.Marshal(keyForm{k.Name, k.Digest, k.Scopes.Names(), k.Tenant, k.Limits, k.Created}) //nolint:wrapcheck // called by the same package
}

// UnmarshalJSON reads it strictly.
func (k *Key) UnmarshalJSON(data []byte) error {
	var f keyForm
	if err := strict(data, &f); err != nil {
		return err
	}
	scopes, err := ParseScopes(f.Scopes)
	*k = Key{f.Name, f.SHA256, scopes, f.Tenant, f.Limits, f.Created}
	return err
}

// MaxName bounds names of keys and tenants, in bytes.
const MaxName = 256

// Check is fault.Invalid where a key makes no sense, and says why.
func (k Key) Check() error {
	switch {
	case k.Name == "" || len(k.Name) > MaxName || strings.ContainsFunc(k.Name, odd):
		return fault.New(fault.Invalid, "name: needs 1 to %d letters, digits, or -_.:/@, is %q", MaxName, k.Name)
	case k.Digest == Digest{} || k.Digest == DigestOf(""):
		return fault.New(fault.Invalid, "key %q: has no secret, everybody would have it", k.Name)
	case k.Scopes == None:
		return fault.New(fault.Invalid, "key %q: has no scopes, nobody could use it: choose from %s", k.Name, strings.Join(All.Names(), ", "))
	case len(k.Tenant) > MaxName:
		return fault.New(fault.Invalid, "key %q: the tenant is longer than %d bytes", k.Name, MaxName)
	case k.Tenant != "" && k.Scopes&(Replica|Admin) != None:
		return fault.New(fault.Invalid, "key %q: the scopes replica and admin reach all tenants, and cannot be bound to one", k.Name)
	}
	if err := k.Limits.Check(); err != nil {
		return fmt.Errorf("key %q: limits: %w", k.Name, err)
	}
	return nil
}

func odd(c rune) bool {
	return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && !strings.ContainsRune("-_.:/@", c)
}

// checkAll checks keys one by one and that none is there twice.
func checkAll(keys []Key) error {
	names, digests := map[string]bool{}, map[Digest]bool{}
	for i, k := range keys {
		if err := k.Check(); err != nil {
			return fmt.Errorf("keys[%d]: %w", i, err)
		}
		if names[k.Name] || digests[k.Digest] {
			return fault.New(fault.Invalid, "keys[%d]: key %q is there already", i, k.Name)
		}
		names[k.Name], digests[k.Digest] = true, true
	}
	return nil
}
