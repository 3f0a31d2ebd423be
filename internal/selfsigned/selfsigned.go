// Package selfsigned makes certificates for tests.
package selfsigned

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"testing"
)

// Make makes a certificate of what about says, and a key for it (ECDSA, P-256), with which it is
// signed. It has a Leaf. A serial number is given to about.
func Make(tb testing.TB, about *x509.Certificate) tls.Certificate {
	tb.Helper()
	about.SerialNumber = big.NewInt(1)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// Roots trust a certificate, and no other.
func Roots(c tls.Certificate) *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(c.Leaf)
	return roots
}

// Write puts a certificate and its key into files, in PEM, which only their owner may read.
func Write(tb testing.TB, c tls.Certificate, cert, key string) {
	tb.Helper()
	private, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		tb.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{key: {Type: "PRIVATE KEY", Bytes: private}, cert: {Type: "CERTIFICATE", Bytes: c.Leaf.Raw}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}
