package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"os"
	"slices"

	"github.com/lanewise/lanewise/fault"
)

// maxFile bounds a file of keys, in bytes.
const maxFile = 1 << 20

// key is a public key and what it may verify.
type key struct {
	public     crypto.PublicKey
	algorithms []string
}

// keySet are keys by their ids.
type keySet map[string]key

// readSet reads a file with a JWK set.
func readSet(path string) (keySet, error) {
	f, err := os.Open(path) //nolint:gosec // the file that the operator names
	if err != nil {
		return nil, fmt.Errorf("read the keys of tokens: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the keys of tokens: %w", err)
	case len(data) > maxFile:
		return nil, fault.New(fault.Invalid, "read the keys of tokens: %s is larger than %d bytes", path, maxFile)
	}
	set, err := parseSet(data)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "read the keys of tokens from "+path, err)
	}
	return set, nil
}

// webKey is one key of a set. Its members are those of RFC 7518, section 6, and RFC 8037.
type webKey struct {
	Kid    string   `json:"kid"`
	Type   string   `json:"kty"`
	Use    string   `json:"use"`
	Ops    []string `json:"key_ops"`
	Alg    string   `json:"alg"`
	Curve  string   `json:"crv"`
	N      field    `json:"n"`
	E      field    `json:"e"`
	X      field    `json:"x"`
	Y      field    `json:"y"`
	Secret string   `json:"k"` // of a symmetric key
	D      string   `json:"d"` // of a private key
}

// field is a number, as the base64 of its bytes.
type field []byte

// UnmarshalText reads base64 without padding.
func (f *field) UnmarshalText(text []byte) (err error) {
	*f, err = base64.RawURLEncoding.DecodeString(string(text))
	return err //nolint:wrapcheck // the decoder of the file says where
}

// parseSet reads a JWK set. Keys for other purposes than signatures are passed over, as the RFC wants it; of what
// is left each must be in order.
func parseSet(data []byte) (keySet, error) {
	var form struct {
		Keys []webKey `json:"keys"`
	}
	if err := json.Unmarshal(data, &form); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	set := keySet{}
	for i, k := range form.Keys {
		if !k.signs() {
			continue
		}
		parsed, err := k.parse()
		if err != nil {
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
		if _, twice := set[k.Kid]; twice {
			return nil, fmt.Errorf("keys[%d]: there is another key with the kid %q", i, k.Kid)
		}
		set[k.Kid] = parsed
	}
	if len(set) == 0 {
		return nil, fmt.Errorf("there is no key that verifies signatures")
	}
	return set, nil
}

func (k webKey) signs() bool {
	return (k.Use == "" || k.Use == "sig") && (k.Ops == nil || slices.Contains(k.Ops, "verify"))
}

// parse returns the key with the algorithms that go with it: all of its kind, or the one that it names.
func (k webKey) parse() (out key, err error) {
	if k.Secret != "" || k.D != "" || k.Type == "oct" {
		return out, fmt.Errorf("is a secret: whoever reads it could make tokens; only public keys belong here")
	}
	switch k.Type {
	case "RSA":
		out, err = k.rsa()
	case "EC":
		out, err = k.ecdsa()
	case "OKP":
		out, err = k.edwards()
	default:
		err = fmt.Errorf("the type %.20q is none of RSA, EC and OKP", k.Type)
	}
	if err != nil || k.Alg == "" {
		return out, err
	}
	if !slices.Contains(out.algorithms, k.Alg) {
		return out, fmt.Errorf("the algorithm %.20q does not go with a key of this type", k.Alg)
	}
	out.algorithms = []string{k.Alg}
	return out, nil
}

// leastRSA is the shortest modulus that counts as safe, in bits (NIST SP 800-57).
const leastRSA = 2048

func (k webKey) rsa() (key, error) {
	n, e := new(big.Int).SetBytes(k.N), new(big.Int).SetBytes(k.E)
	switch {
	case n.BitLen() < leastRSA || n.BitLen() > 8*leastRSA:
		return key{}, fmt.Errorf("an RSA key has %d to %d bits, not %d", leastRSA, 8*leastRSA, n.BitLen())
	case e.BitLen() > 31 || e.Int64() < 3 || e.Bit(0) == 0:
		return key{}, fmt.Errorf("the exponent of an RSA key is odd, at least 3 and below 2^31")
	}
	return key{&rsa.PublicKey{N: n, E: int(e.Int64())}, []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}}, nil
}

func (k webKey) ecdsa() (key, error) {
	var curve elliptic.Curve
	var algorithm string
	switch k.Curve {
	case "P-256":
		curve, algorithm = elliptic.P256(), "ES256"
	case "P-384":
		curve, algorithm = elliptic.P384(), "ES384"
	case "P-521":
		curve, algorithm = elliptic.P521(), "ES512"
	default:
		return key{}, fmt.Errorf("the curve %.20q is none of P-256, P-384 and P-521", k.Curve)
	}
	size := (curve.Params().BitSize + 7) / 8
	if len(k.X) != size || len(k.Y) != size {
		return key{}, fmt.Errorf("x and y of a key on %s have %d bytes each", k.Curve, size)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, k.X, k.Y)) // checks that it is on the curve
	if err != nil {
		return key{}, fmt.Errorf("read a point of %s: %w", k.Curve, err)
	}
	return key{public, []string{algorithm}}, nil
}

func (k webKey) edwards() (key, error) {
	if k.Curve != "Ed25519" || len(k.X) != ed25519.PublicKeySize {
		return key{}, fmt.Errorf("a key of the type OKP is on Ed25519 and has %d bytes", ed25519.PublicKeySize)
	}
	return key{ed25519.PublicKey(k.X), []string{"EdDSA"}}, nil
}
