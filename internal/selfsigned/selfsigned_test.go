package selfsigned_test

import (
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"testing"
	"time"

	"github.com/lanewise/lanewise/internal/selfsigned"
)

func TestMake_isTrustedByItsOwnRootsAlone(t *testing.T) {
	about := func() *x509.Certificate {
		return &x509.Certificate{DNSNames: []string{"a.example"}, NotAfter: time.Now().Add(time.Hour)}
	}
	one, other := selfsigned.Make(t, about()), selfsigned.Make(t, about())
	check := x509.VerifyOptions{DNSName: "a.example", Roots: selfsigned.Roots(one)}
	if _, err := one.Leaf.Verify(check); err != nil {
		t.Error(err)
	}
	if _, err := other.Leaf.Verify(check); err == nil {
		t.Error("another certificate is trusted, too")
	}
	cert, key := filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "key")
	selfsigned.Write(t, one, cert, key)
	if back, err := tls.LoadX509KeyPair(cert, key); err != nil || !back.Leaf.Equal(one.Leaf) {
		t.Errorf("it comes back from its files as %v, %v", back.Leaf, err)
	}
}
